# SPDX-License-Identifier: GPL-2.0-or-later
"""A BPF program that does nothing, at the entry of a kernel function. No library: two system calls."""
import ctypes
import os
import pathlib
import struct

SYS_BPF, PROG_LOAD, RAW_TRACEPOINT_OPEN = 321, 5, 17
PROG_TYPE_TRACING, TRACE_FENTRY = 26, 24
INSTRUCTIONS = bytes([0xb7, 0, 0, 0, 0, 0, 0, 0,  # r0 = 0
                      0x95, 0, 0, 0, 0, 0, 0, 0])  # exit
KIND_FUNC = 12
# What follows a type of the kernel's BTF: (bytes, bytes for each member)
TRAILERS = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0),
            19: (0, 12)}


def function_id(name):
    """Number of a function in /sys/kernel/btf/vmlinux."""
    data = pathlib.Path("/sys/kernel/btf/vmlinux").read_bytes()
    header, type_offset, type_size, text_offset, _ = struct.unpack_from("<5I", data, 4)
    names = data[header + text_offset:]
    wanted = names.index(b"\0" + name.encode() + b"\0") + 1
    at, end, number = header + type_offset, header + type_offset + type_size, 1
    while at < end:
        text, info, _ = struct.unpack_from("<3I", data, at)
        kind = info >> 24 & 0x1f
        if kind == KIND_FUNC and text == wanted:
            return number
        fixed, each = TRAILERS.get(kind, (0, 0))
        at += 12 + fixed + each * (info & 0xffff)
        number += 1
    raise LookupError(name)


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    fd = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return fd


class Fentry:
    def __init__(self, function, name):
        self.function, self.name, self.fds = function, name, []

    def __enter__(self):
        code, licence = ctypes.create_string_buffer(INSTRUCTIONS), ctypes.create_string_buffer(b"GPL")
        load = struct.pack("<IIQQIIQII16sIIIIQIIQII", PROG_TYPE_TRACING, len(INSTRUCTIONS) // 8, ctypes.addressof(code),
                           ctypes.addressof(licence), 0, 0, 0, 0, 0, self.name.encode(), 0, TRACE_FENTRY, 0, 0, 0, 0, 0, 0,
                           0, function_id(self.function))
        self.fds.append(bpf(PROG_LOAD, load))
        self.fds.append(bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QQ", 0, self.fds[0])))
        return self

    def __exit__(self, *_):
        for fd in reversed(self.fds):
            os.close(fd)
