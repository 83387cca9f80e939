# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the scenarios: see lab.py for what they give.

KCARE_BUILD_DIR names the meson build folder whose programs are tested; KCARE_CACHE keeps downloads between runs.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import lab
from packages import Packages
from portal import Portal

LONGEST = {"test_real_fixes.py", "test_kernel_refusals.py", "test_repository_crash.py", "test_nginx.py", "test_portal_crash.py"}


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes long: every crash point, more repetitions")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --long")
    config.addinivalue_line("markers", "alone: not beside other tests, for it measures or wants all processors")


def pytest_collection_modifyitems(config, items):
    """Two files at a time: what takes longest is not begun last."""
    too_long = [] if config.getoption("--long") else [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=too_long)
    items[:] = sorted((item for item in items if item not in too_long), key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def long(request):
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """A folder for the session that every user may enter: some targets change their user."""
    folder = tmp_path_factory.mktemp("kcare")
    for path in (folder, *folder.parents):
        if path == pathlib.Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def build_folder():
    folder = os.environ.get("KCARE_BUILD_DIR")
    if not folder:
        pytest.exit("KCARE_BUILD_DIR is not set: it names the meson build folder to test", 2)
    return pathlib.Path(folder).resolve()


@pytest.fixture(scope="session")
def kcare(build_folder, workshop, cache):
    return lab.Kcare(build_folder, workshop / "root", cache)


@pytest.fixture(scope="session")
def build_target(workshop):
    made = {}

    def build(name, variant="pie"):
        if (name, variant) not in made:
            made[name, variant] = lab.Build(name, variant, workshop / "targets" / f"{name}-{variant}")
        return made[name, variant]

    return build


@pytest.fixture(scope="session")
def make_patch(kcare, workshop):
    folder = workshop / "patches"
    folder.mkdir()
    return lab.PatchMaker(kcare, folder)


@pytest.fixture
def spawn():
    """Starts targets; all are ended after the test, which fails when one was dead or left stopped."""
    started = []

    def start(build, wrapper=(), environment=None, program=None):
        path = program or (build.program if isinstance(build, lab.Build) else build)
        target = lab.Target([*wrapper, path], environment, inner=bool(wrapper))
        started.append(target)
        return target

    yield start
    problems = []
    for target in started:
        try:
            target.close()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "; ".join(problems)


@pytest.fixture
def namespace():
    """A pid namespace; targets are started in it with wrapper=namespace.prefix. Ask for it before `spawn`."""
    need_root("a pid namespace")
    need_program("unshare", "util-linux")
    made = lab.Namespace()
    yield made
    made.close()


@pytest.fixture(scope="session")
def worker(build_target):
    return build_target("worker")


@pytest.fixture(scope="session")
def cache():
    folder = pathlib.Path(os.environ.get("KCARE_CACHE", "/var/cache/kcare"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need_root(what):
    if os.geteuid() != 0:
        pytest.skip(f"{what} needs root")


def need_program(name, package):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed (package {package})")


def run(command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, **options).stdout


VALUE_FIXES = {level: lab.edit("value.c", "x * 3 + 1", f"x * 3 + {level + 1}", cve=f"CVE-2026-1000{level}")
               for level in (1, 2)}
ONE_FIXES = {level: lab.edit("one.c", "return x + one_base;", f"return x + one_base + {level};",
                             cve=f"CVE-2026-1100{level}") for level in (1, 2)}
TWO_FIX = lab.edit("two.c", "return x + two_base;", "return x + two_base + 1;", cve="CVE-2026-12001")


@pytest.fixture(scope="session")
def value_patch(worker, make_patch):
    """program_value(10): 31 becomes 32 (level 1) or 33 (level 2)."""
    return lambda level=1: make_patch(worker, VALUE_FIXES[level], level=level, patchset=f"U20261123_0{level}")


@pytest.fixture(scope="session")
def one_patch(worker, make_patch):
    """one_value(10): 1010 becomes 1011 or 1012."""
    return lambda level=1: make_patch(worker, ONE_FIXES[level], "libone.so.1", level, f"U20261123_0{level}")


@pytest.fixture(scope="session")
def two_patch(worker, make_patch):
    """two_value(10): 2010 becomes 2011."""
    return lambda: make_patch(worker, TWO_FIX, "libtwo.so.1")


@pytest.fixture(scope="session")
def both(value_patch, one_patch):
    """Patches for the program and for its library."""
    return value_patch(), one_patch()


@pytest.fixture(scope="session")
def packages(kcare, workshop, cache):
    folder = workshop / "packages"
    folder.mkdir()
    return Packages(kcare, folder, cache)


@pytest.fixture
def portal(build_folder, tmp_path):
    """A new one; modules whose tests can share one have their own fixture."""
    with Portal(build_folder, tmp_path / "portal") as made:
        yield made
