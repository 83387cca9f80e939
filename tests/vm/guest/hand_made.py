# SPDX-License-Identifier: GPL-2.0-or-later
"""Livepatches made by hand, applied by kernel_switch; tasks that sleep inside the function they replace."""
import pathlib
import subprocess
import sys
import time

import pytest

import lab

MODULES = pathlib.Path("/kcare/modules")
FUNCTIONS = ["vmlinux:cmdline_proc_show", "sleepy:sleepy_wait"]
FORCED = pathlib.Path("/run/kcare/forced")
# Sleeps in a system call that returns EINTR when a signal comes; Python itself would hide that.
WITNESS = """
import ctypes, select, sys, time
libc = ctypes.CDLL(None, use_errno=True)
poll = select.epoll()
begin = time.monotonic()
ret = libc.epoll_wait(poll.fileno(), ctypes.create_string_buffer(64), 1, int(float(sys.argv[1]) * 1000))
print(ret, ctypes.get_errno(), time.monotonic() - begin)
"""

RESTLESS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/proc/kcare_restless", os.O_RDONLY)
libc.read(fd, ctypes.create_string_buffer(8), 8)
print(ctypes.get_errno())
"""


def module(name):
    error = MODULES / "error"
    if error.exists():
        pytest.fail(f"the test modules were not built: {error.read_text()}", pytrace=False)
    return MODULES / f"{name}.ko"


class Switch:
    """kernel_switch: what it printed as attributes of the result."""

    @staticmethod
    def command(action, *options, functions=FUNCTIONS):
        words = ["kernel_switch", action]
        if action.startswith("level"):
            words = ["kernel_switch", "load", module(f"kcare_livepatch_{action[5:]}"), module("kcare")]
            words += [word for name in functions for word in ("--function", name)]
        return [str(word) for word in [*words, *options]]

    def __call__(self, action, *options, functions=FUNCTIONS):
        result = lab.run(*self.command(action, *options, functions=functions))
        pairs = [line.split(" ", 1) for line in result.out.splitlines() if " " in line]
        result.values = dict(pairs)
        for name in ("load_ms", "transition_ms", "n_interrupted", "was_forced"):
            setattr(result, name, int(result.values[name]))
        result.error = result.values.get("error", "")
        return result

    def start(self, action, *options):
        return subprocess.Popen(self.command(action, *options), stdout=subprocess.PIPE, text=True)

    def loaded(self):
        """{module: {"enabled": "1", …}}"""
        lines = [line.split() for line in self("show").out.splitlines() if line.startswith("loaded ")]
        return {words[1]: dict(word.split("=") for word in words[2:]) for words in lines}


class Sleepy:
    """The module with a function that tasks sleep in."""

    def __init__(self):
        self.tasks = []
        lab.run("insmod", module("sleepy")).ok()

    def start(self, n, name="kcare_sleepy"):
        tasks = [subprocess.Popen(["cat", f"/proc/{name}"]) for _ in range(n)]
        self.tasks += tasks
        for task in tasks:
            stack = pathlib.Path(f"/proc/{task.pid}/stack")
            lab.wait_until(lambda stack=stack: "sleepy_wait" in stack.read_text(), what="a task asleep in the function")
        return tasks

    def hold_kernel_thread(self):
        self.write("h")
        lab.wait_until(lambda: "sleepy_wait" in pathlib.Path(f"/proc/{self.kernel_thread()}/stack").read_text(),
                       what="the kernel thread asleep in the function")

    @staticmethod
    def kernel_thread():
        return int(lab.run("pidof", "sleepyd").ok().out)

    @staticmethod
    def write(text):
        pathlib.Path("/proc/kcare_sleepy").write_text(text)

    def wake(self):
        self.write("w")
        for task in self.tasks:
            assert task.wait(timeout=30) == 0
        self.tasks = []

    def close(self):
        self.wake()
        FORCED.unlink(missing_ok=True)  # nobody is in the code any more
        if lab.livepatches():
            Switch()("unload").ok()
        lab.run("rmmod", "sleepy").ok()


class Restless:
    """A process in a read() that shows EINTR when it is interrupted, inside the function."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", RESTLESS], stdout=subprocess.PIPE, text=True)
        stack = pathlib.Path(f"/proc/{self.process.pid}/stack")
        lab.wait_until(lambda: "sleepy_wait" in stack.read_text(), what="the reader asleep in the function")

    def saw(self):
        """errno, 0 when the read went through."""
        return int(self.process.communicate(timeout=60)[0])


class Witness:
    """A process in epoll_wait."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.process = subprocess.Popen([sys.executable, "-c", WITNESS, str(seconds)], stdout=subprocess.PIPE, text=True)
        syscall = pathlib.Path(f"/proc/{self.process.pid}/syscall")
        lab.wait_until(lambda: syscall.read_text().split()[0] == "232", what="the witness in epoll_wait")

    def saw_nothing(self):
        """Returns by how much its sleep was longer than it should be."""
        ret, errno, seconds = self.process.communicate(timeout=60)[0].split()
        assert (ret, errno) == ("0", "0"), f"epoll_wait returned {ret}, errno {errno}"
        assert float(seconds) >= self.seconds - 0.01
        return float(seconds) - self.seconds


def cmdline():
    return pathlib.Path("/proc/cmdline").read_text().strip()


def wait_for_transition(name):
    path = lab.LIVEPATCH / name / "transition"
    lab.wait_until(lambda: path.exists() and path.read_text().strip() == "1", what=f"{name} in transition")
    time.sleep(0.5)
