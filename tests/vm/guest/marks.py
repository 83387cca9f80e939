# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fixes of tests/vm/fixes change, as it is seen from outside."""
import errno
import os
import pathlib
import re

SWITCH = pathlib.Path("/proc/sys/kernel/kcare_softirqs_mark")


def read(name):
    return pathlib.Path("/proc", name).read_text()


def loadavg():
    """The number of the mark in /proc/loadavg; None without one."""
    found = re.search(r"kcare-(\d+)$", read("loadavg").strip())
    return int(found[1]) if found else None


def uptime_words():
    """What follows the two times in /proc/uptime."""
    return read("uptime").split()[2:]


def softirqs():
    return read("softirqs").endswith("\nkcare\n")


def cmdline_reads():
    found = re.search(r" kcare-reads=(\d+)$", read("cmdline").strip())
    return int(found[1]) if found else None


def pipe_refuses():
    """A read of 4242 bytes from a pipe is refused."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"x")
        return os.read(reader, 4242) != b"x"
    except OSError as problem:
        assert problem.errno == errno.EILSEQ
        return True
    finally:
        os.close(reader)
        os.close(writer)


def dummy_mtu():
    """Of the device that the module dummy makes."""
    return int(pathlib.Path("/sys/class/net/dummy0/mtu").read_text())
