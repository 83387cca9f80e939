# SPDX-License-Identifier: GPL-2.0-or-later
"""What takes long (`make check-long`): libFuzzer on every fuzz target, and the programs under ThreadSanitizer.

KCARE_FUZZ_SECONDS is the time for each fuzz target (120).
"""

import os
import pathlib
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
FUZZ_SECONDS = os.environ.get("KCARE_FUZZ_SECONDS", "120")
TARGETS = sorted(path.stem for path in (TOP / "tests/fuzz").glob("fuzz_*.c"))


def compiled(folder, *options, **environment):
    """Configures (once) and compiles a build folder of its own."""
    env = dict(os.environ, **environment)
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", folder, *options], cwd=TOP, env=env, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "--quiet"], env=env, check=True)
    return folder


@pytest.fixture(scope="session")
def fuzzers():
    return compiled(TOP / "build/fuzz", "-Dfuzzers=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", CC="clang")


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_makes_it_crash(fuzzers, name, tmp_path):
    program = fuzzers / "tests/fuzz" / name
    seeds = fuzzers / "tests/fuzz/seeds" / name.removeprefix("fuzz_")
    done = subprocess.run(
        [program, f"-max_total_time={FUZZ_SECONDS}", "-rss_limit_mb=4096", "-timeout=10", "-print_final_stats=1", tmp_path,
         seeds],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr, "libFuzzer did not run"


def test_server_and_patcher_under_thread_sanitizer():
    """The scenarios of the server and of a busy process, with programs built for ThreadSanitizer."""
    folder = compiled(TOP / "build/tsan", "-Db_sanitize=thread", "-Db_lundef=false")
    env = dict(os.environ, KCARE_BUILD_DIR=str(folder), TSAN_OPTIONS="halt_on_error=1 exitcode=66")
    suites = [TOP / "tests/scenario" / name for name in ("test_server.py", "test_busy.py")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suites], cwd=TOP, env=env,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
