# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows from outside whether a hole is open. Each probe works in a process of its own, and gives True while it is open."""
import ctypes
import errno
import os
import socket
import struct

AF_QIPCRTR, CLONE_NEWNET = 42, 0x40000000
PR_SET_MM, PR_SET_MM_AUXV, AT_PAGESZ = 35, 12, 6
LIBC = ctypes.CDLL(None, use_errno=True)


def in_child(function):
    """What `function` returns in a child process; its exception, if it raises one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(function()).encode())
        except BaseException as problem:
            os.write(writer, f"raised {problem!r}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0 and said in ("True", "False"), f"the probe said {said!r} and ended with status {status}"
    return said == "True"


def check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def qrtr():
    """CVE-2026-68294: the host's QRTR name service can be reached from another network namespace."""

    def probe():
        check(LIBC.unshare(CLONE_NEWNET), "unshare")
        try:
            socket.socket(AF_QIPCRTR, socket.SOCK_DGRAM).close()
        except OSError as problem:
            if problem.errno != errno.EAFNOSUPPORT:
                raise
            return False
        return True

    return in_child(probe)


def raw_ihl():
    """A raw socket sends an IPv4 packet whose header length is one word."""

    def probe():
        loopback = socket.inet_aton("127.0.0.1")
        packet = struct.pack("!BBHHHBBH4s4s", 0x41, 0, 64, 0, 0, 64, 253, 0, loopback, loopback) + bytes(44)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            try:
                sent = raw.sendto(packet, ("127.0.0.1", 0))
            except OSError as problem:
                if problem.errno != errno.EINVAL:
                    raise
                return False
        assert sent == 64
        return True

    return in_child(probe)


def prctl_auxv():
    """A shorter auxiliary vector leaves the end of the old one behind it."""

    def probe():
        words = (ctypes.c_ulong * 4)(AT_PAGESZ, 4096, AT_PAGESZ, 4096)
        check(LIBC.prctl(PR_SET_MM, PR_SET_MM_AUXV, words, ctypes.c_ulong(ctypes.sizeof(words)), 0), "prctl")
        with open("/proc/self/auxv", "rb") as file:
            shown = file.read()
        assert shown.startswith(bytes(words)), f"/proc/self/auxv has {shown!r}"
        return shown[ctypes.sizeof(words):] != bytes(16)

    return in_child(probe)
