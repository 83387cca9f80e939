# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that sleep inside a function that a fix changes."""
import os
import pathlib
import signal
import tempfile

import lab


class Readers:
    """Processes asleep in pipe_read(); a signal that is none gets them out of it for a moment."""

    def __init__(self, n):
        self.feed, self.results, self.pids = [], [], []
        for _ in range(n):
            self.add()
        lab.wait_until(lambda: all("pipe_read" in stack(pid) for pid in self.pids), what="all sleep in pipe_read")

    def add(self):
        reader, writer = os.pipe()
        result_reader, result_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            for other in self.feed:
                os.close(other)
            os.write(result_writer, os.read(reader, 100))
            os._exit(0)
        os.close(reader)
        os.close(result_writer)
        self.feed.append(writer)
        self.results.append(result_reader)
        self.pids.append(pid)

    def wake(self):
        """Gives each its data; returns how many got it and ended well."""
        well = 0
        for i, (pid, writer, result) in enumerate(zip(self.pids, self.feed, self.results)):
            os.write(writer, f"for {i}".encode())
            got = os.read(result, 100)
            os.close(writer)
            os.close(result)
            well += os.waitpid(pid, 0)[1] == 0 and got == f"for {i}".encode()
        self.pids = []
        return well

    def close(self):
        end(self.pids)


class VforkParents:
    """Processes that wait in kernel_clone() for a vfork child, which itself waits to open a FIFO: no signal but a deadly
    one gets them out."""

    def __init__(self, n):
        self.folder = tempfile.mkdtemp(prefix="sleepers-")
        self.fifo = pathlib.Path(self.folder, "fifo")
        os.mkfifo(self.fifo)
        self.pids = [self.start() for _ in range(n)]
        lab.wait_until(lambda: all("kernel_clone" in stack(pid) for pid in self.pids), what="all wait in kernel_clone")

    def start(self):
        pid = os.fork()
        if pid == 0:
            child = os.posix_spawn("/usr/bin/busybox", ["true"], {},
                                   file_actions=[(os.POSIX_SPAWN_OPEN, 0, str(self.fifo), os.O_RDONLY, 0)])
            os._exit(os.waitpid(child, 0)[1] != 0)
        return pid

    def release(self):
        """Lets all go on; returns how many ended well."""
        with open(self.fifo, "wb"):
            well = sum(os.waitpid(pid, 0)[1] == 0 for pid in self.pids)
        self.pids = []
        return well

    def close(self):
        if self.pids:
            self.release()


def stack(pid):
    """The kernel's stack of a task, "" when it has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stack").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def end(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
