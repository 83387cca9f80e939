# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts for the scenarios about a host as a whole: a root folder of its own, and a box of processes of its own.

A box is a PID namespace with its own /proc: `libcare-ctl -p all` in it sees the processes of the scenario and no others, so
that the list of fixed CVEs depends on nothing else that runs on the machine.
"""

import copy
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import lab
from conftest import need_root


@pytest.fixture
def host(kcare, workshop):
    """A host of its own for the test: its own store, blacklist, lists."""
    return own_host(kcare, workshop)


@pytest.fixture
def box():
    """Request it before `spawn`: what lives in it must end first."""
    need_root("a PID namespace")
    made = Box()
    yield made
    made.close()


def own_host(kcare, workshop):
    """The same programs and author with another root folder: its own store, blacklist, lists."""
    host = copy.copy(kcare)
    host.root = pathlib.Path(tempfile.mkdtemp(prefix="host-", dir=workshop))
    host.root.chmod(0o755)
    host.environment = dict(kcare.environment, KCARE_ROOT=str(host.root))
    trusted = host.root / "etc/sysconfig/kcare/keys"
    trusted.mkdir(parents=True)
    shutil.copy(kcare.public, trusted)
    return host


def cvelist(host):
    """The lines of the list; None when it was never written."""
    path = host.root / "var/cache/kcare/libcare_cvelist"
    return path.read_text(encoding="ascii").splitlines() if path.exists() else None


def info_lines(result):
    """{pid: object} of `info -j`."""
    lines = [lab.json.loads(line) for line in result.out.splitlines()]
    return {line["pid"]: line for line in lines}


class Box:
    """A PID namespace; `enter` is a prefix for commands that run in it."""

    def __init__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--", "cat"],  # ends with us, however we end
            stdin=subprocess.PIPE, start_new_session=True,
        )
        lab.wait_until(self.has_init, what="the box has its first process")
        self.init = lab.children_of(self.holder.pid)[0]
        lab.wait_until(lambda: comm(self.init) == "cat", what="the box is mounted")
        self.enter = ("nsenter", "-t", str(self.init), "-p", "-m", "--")

    def has_init(self):
        assert self.holder.poll() is None, "unshare failed"
        return bool(lab.children_of(self.holder.pid))

    def pid_of(self, target):
        """The target's pid as the box sees it."""
        status = pathlib.Path(f"/proc/{target.pid}/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        return int(line.split()[-1])

    def close(self):
        os.kill(self.init, signal.SIGKILL)
        self.holder.wait(20)
        self.holder.stdin.close()


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
