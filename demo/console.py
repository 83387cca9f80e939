#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command in the guest of `make demo`, over its second serial port, and ends with its exit code.

    console.py SOCKET COMMAND
"""
import socket
import sys

READY, END = b"\x1d", b"\x1e"  # from the guest: it takes commands; the exit code of one follows, and the end of the line
LIMIT_S = 900  # a busy host without KVM


class Console:
    """One client at a time: that is all that QEMU does. `path`: the socket of the serial port."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def read_until(self, end):
        """What came before `end`. EOFError: the guest is gone."""
        text = b""
        while not text.endswith(end):
            piece = self.stream.read(1)
            if not piece:
                raise EOFError("the guest is gone")
            text += piece
        return text.removesuffix(end).decode(errors="replace")

    def run(self, line):
        """(exit code, what it said)"""
        self.socket.sendall(f"{{ {line}; }} </dev/null; printf '\\36%d\\n' $?\n".encode())
        output = self.read_until(END)
        return int(self.read_until(b"\n")), output


def main():
    console = Console(sys.argv[1])
    code, output = console.run(" ".join(sys.argv[2:]))
    print(output, end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
