# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest of `make demo`: a vulnerable Debian kernel in QEMU, with the machinery of tests/vm."""
import re
import sys
import time

from console import READY, Console
from eportal import SEEN_FROM_GUESTS
from stage import TOP, Failure, Shell, say

sys.path.append(str(TOP / "tests/vm"))

import cache  # noqa: E402 (the path comes first)
import image  # noqa: E402
import machine  # noqa: E402

PROGRAMS = ["kcarectl", "kcare-agent", "kcare-fetch", "kcare-uname"]
N_HOLES = 3
OVERWRITTEN = r"[^\n]*\r\033\[K"  # progress
SETTINGS = "KCARE_VM_MODE=demo\nKCARE_VM_NETWORK=1\n"


class GuestShell(Shell):
    """Root's, over the serial port."""

    def __init__(self, console):
        super().__init__("guest#", None)
        self.console = console

    def run(self, line):
        try:
            code, output = self.console.run(line)
            return code, re.sub(OVERWRITTEN, "", output)
        except (EOFError, OSError) as problem:
            raise Failure(f"the guest does not answer: {problem}") from problem


class Guest:
    """It boots from the first moment on. `work`: there are the files that it gets from author and portal."""

    update_command = "kcarectl --update"

    def __init__(self, build, work, kernel):
        self.work, self.socket = work / "guest", work / "guest/serial"
        self.work.mkdir(mode=0o700)
        self.machine = self.prepare(build, work, kernel)
        self.process = self.machine.start(f"unix:{self.socket},server=on,wait=off")
        self.shell = None

    def prepare(self, build, work, kernel):
        files = {f"kcare/bin/{name}": str(build / "src/cmd" / name) for name in PROGRAMS}
        files |= {"kcare/bin/exploit": str(TOP / "demo/exploit"), "kcare/demo": str(TOP / "demo/guest"),
                  "kcare/start": str(TOP / "tests/vm/guest/start"), "kcare/probes.py": str(TOP / "tests/vm/guest/probes.py"),
                  "kcare/settings": str(self.work / "settings")}
        files |= {f"root/{path.name}": str(path)
                  for path in (work / "author/author.pub", work / "offline/root.json", work / "portal.crt")}
        (self.work / "settings").write_text(SETTINGS)
        root = image.Root(cache.folder())
        image.make_share(root, files, self.work / "share.tar")
        image.make_initrd(kernel, self.work / "initrd")
        (self.work / "results").write_bytes(bytes(512))  # a disk that /init waits for
        disks = [f"{root.image}:ro", f"{kernel.modules}:ro", self.work / "share.tar", self.work / "results"]
        return machine.Machine(cache.folder(), kernel, self.work / "initrd", disks, self.work, machine.NETWORK)

    def wait_until_it_is_up(self):
        start = time.monotonic()
        while not self.socket.exists() and self.process.poll() is None:
            time.sleep(0.05)
        try:
            console = Console(self.socket)
            console.read_until(READY)
        except (EOFError, OSError) as problem:
            last = machine.Machine.read(self.machine.console).splitlines()[-20:]
            raise Failure("\n".join([f"the guest did not start: {problem}", *last])) from problem
        self.shell = GuestShell(console)
        say(f"  the guest is up ({time.monotonic() - start:.0f} s)")
        self.shell.run("cd")
        self.shell.show("uname -r")

    def follow(self, portal, key):
        self.shell.show("mkdir -p /etc/ssl/certs /etc/sysconfig/kcare", lines=0)
        self.shell.show("cat portal.crt >>/etc/ssl/certs/ca-certificates.crt")
        self.shell.show("kcarectl --import-key author.pub", lines=0)
        self.shell.show("kcarectl --import-key root.json", lines=0)
        self.shell.show(f"echo PATCH_SERVER={portal.address(SEEN_FROM_GUESTS)} >>/etc/sysconfig/kcare/kcare.conf")
        self.shell.show(f"kcarectl --register {key}")

    def is_vulnerable(self):
        """Shows it: all of the holes, or none, should be open."""
        say(f"{self.shell.prompt} exploit")
        n_open, output = self.shell.run("exploit")
        say(output.rstrip())
        if n_open not in (0, N_HOLES):
            raise Failure("some holes are open and some are not")
        return n_open == N_HOLES

    def show_state(self):
        self.shell.show("uname -r; kcarectl --uname")
        self.shell.show("kcarectl --info")
        self.shell.show("cat /proc/kcare/cvelist")

    def check_log(self):
        if self.machine.splats():
            raise Failure(f"the kernel complained: {self.machine.splats()[0]}")
