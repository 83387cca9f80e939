# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests inside a guest work with: the agent, patch files, the kernel's own view of livepatches."""
import os
import pathlib
import shutil
import subprocess
import time
from dataclasses import dataclass

import pytest

PATCHES = pathlib.Path("/kcare/patches")
UNITS = pathlib.Path("/kcare/units")
KEYS = pathlib.Path("/etc/sysconfig/kcare/keys")
CONFIG = pathlib.Path("/etc/sysconfig/kcare/kcare.conf")
CACHE = pathlib.Path("/var/cache/kcare")
LIVEPATCH = pathlib.Path("/sys/kernel/livepatch")
PROC = pathlib.Path("/proc/kcare")
EXIT_NAMES = ["done", "failed", "usage", "nothing", "busy", "refused", "input", "locked", "network"]


def wait_until(condition, seconds=30.0, what="condition"):
    """Waits until `condition()` is true; fails by name when it does not become so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def patch_path(name):
    path, error = PATCHES / f"{name}.kpatch", PATCHES / f"{name}.error"
    if error.exists():
        pytest.fail(f"the patch {name} was not built: {error.read_text()}", pytrace=False)
    assert path.exists(), f"there is no patch {name} for this guest: see tests/vm/patches.toml"
    return path


def tell_host(text):
    """A line that the host sees at once; "kcare-vm: pull the plug" makes it kill QEMU."""
    with open("/dev/ttyS1", "w", encoding="ascii") as port:
        port.write(f"\r\n{text}\r\n")


def unit_command(unit):
    """The arguments that a unit of packaging/ gives to kcarectl: what a timer or a boot really does."""
    lines = (UNITS / unit).read_text().splitlines()
    program, *args = next(line for line in lines if line.startswith("ExecStart=")).partition("=")[2].split()
    assert program == "/usr/bin/kcarectl"
    return args


def is_loaded(module):
    return pathlib.Path("/sys/module", module).exists()


def livepatches():
    """Names of the livepatch modules in the kernel, in whatever state."""
    return sorted(path.name for path in LIVEPATCH.iterdir()) if LIVEPATCH.exists() else []


def in_transition():
    return any(is_in_transition(path) for path in LIVEPATCH.iterdir())


def is_in_transition(path):
    try:
        return (path / "transition").read_text().strip() == "1"
    except OSError:  # it went in the meantime
        return False


@dataclass
class Result:
    """What a run of a kcare program gave."""

    command: list
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self):
        name = EXIT_NAMES[self.code] if 0 <= self.code < len(EXIT_NAMES) else "?"
        return f"$ {' '.join(map(str, self.command))}\n{self.out}{self.err}exit {self.code} ({name})"

    def ok(self):
        assert self.code == 0, str(self)
        return self


def run(*command, **options):
    start = time.monotonic()
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          **options)
    result = Result(list(command), done.returncode, done.stdout, done.stderr, time.monotonic() - start)
    assert "Sanitizer" not in result.err and "runtime error:" not in result.err, str(result)
    return result


class Agent:
    """kcarectl on this host."""

    def __call__(self, *args, **options):
        return run("kcarectl", *args, **options)

    def reset(self):
        """An empty cache, no configuration, the author trusted, no patch loaded."""
        for folder in (CACHE, CONFIG.parent):
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        KEYS.mkdir(parents=True)
        shutil.copy("/kcare/author.pub", KEYS / "author.pub")
        CONFIG.write_text("UPDATE_POLICY=LOCAL\n")

    def load(self, path, *args):
        """Imports a patch file and loads it."""
        self("--import-patch", path).ok()
        return self("--update", *args).ok()

    def unload(self, *args):
        return self("--unload", *args).ok()

    def unload_all(self):
        if livepatches():
            result = self("--unload")
            assert not livepatches(), f"the test left a livepatch that cannot be unloaded: {result}"


class KernelLog:
    """The kernel's log from now on."""

    def __init__(self):
        self.seen = len(self.lines())

    @staticmethod
    def lines():
        return subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()

    def new_lines(self):
        return self.lines()[self.seen:]
