# SPDX-License-Identifier: GPL-2.0-or-later
"""One boot of one guest in QEMU: starts it, follows what it prints, ends it in time, judges the kernel's log.

KVM is used where it works; else software emulation, in which Debian's kernels boot in about ten seconds.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from cache import Failure, Lock, call

MEMORY_MIB, CPUS = 1024, 2
# The guest is 10.0.2.15, and what this host serves on 127.0.0.1 is 10.0.2.2 there. It has no other route and no names.
NETWORK = ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]
PLUG = "kcare-vm: pull the plug"
END = "kcare-vm: end"
# Under emulation on a busy host a CPU may stand still for long: the kernel's own limits are raised.
KERNEL_COMMAND_LINE = ("console=ttyS0 panic=-1 loglevel=7 random.trust_cpu=on watchdog_thresh=60 "
                       "rcupdate.rcu_cpu_stall_timeout=120 sysctl.kernel.hung_task_timeout_secs=240 net.ifnames=0")
SPLAT = re.compile(r"BUG:|WARNING:|Oops|Kernel panic|general protection fault|Call Trace:|blocked for more than|"
                   r"detected stalls|self-detected stall|soft lockup|hard LOCKUP|Unable to handle|refcount_t:|"
                   r"UBSAN:|scheduling while atomic|Bad page|sysfs: cannot create duplicate")
# A boot sector that leaves QEMU through its exit port: says whether KVM runs code here.
EXIT_SECTOR = bytes.fromhex("baf400b010ee").ljust(510, b"\xf4") + b"\x55\xaa"


def accelerator(cache):
    """["-accel", …]; tried once per boot of the host, since a broken KVM only shows by hanging."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = cache / "accelerator"
    with Lock(cache / "accelerator.lock"):
        if not known.exists() or known.read_text().split()[0] != boot:
            known.write_text(f"{boot} {'kvm' if kvm_works() else 'tcg'}\n")
    if known.read_text().split()[1] == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread={tcg_threads()}", "-cpu", "max,la57=off"]


def tcg_threads():
    """Before 8.1, a CPU could keep the translation of a breakpoint that the kernel had put into its code for a moment:
    https://gitlab.com/qemu-project/qemu/-/commit/deba78709a"""
    version = re.search(r"version (\d+)\.(\d+)", call([qemu(), "--version"]))
    return "multi" if tuple(map(int, version.groups())) >= (8, 1) else "single"


def kvm_works():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile() as sector:
        sector.write(EXIT_SECTOR.ljust(1440 * 1024, b"\0"))
        sector.flush()
        try:
            code = subprocess.run([qemu(), "-accel", "kvm", "-display", "none", "-nodefaults", "-m", "16", "-device",
                                   "isa-debug-exit,iobase=0xf4,iosize=4", "-drive",
                                   f"file={sector.name},format=raw,if=floppy,readonly=on", "-boot", "a"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=5).returncode
        except subprocess.TimeoutExpired:
            return False
    return code == 0x10 * 2 + 1


def qemu():
    path = shutil.which("qemu-system-x86_64")
    if not path:
        raise Failure("QEMU is not installed; `make deps` installs what is needed (qemu-system-x86)")
    return path


class Machine:
    """`disks` are paths in the order of /dev/vda, …; a path with ":ro" at its end is shared and never written."""

    def __init__(self, cache, kernel, initrd, disks, folder, extra=()):
        self.console, self.output = folder / "console.log", folder / "tests.log"
        self.command = ["setpriv", "--pdeathsig", "KILL", qemu(), *accelerator(cache), "-machine", "q35", "-m", str(MEMORY_MIB), "-smp", str(CPUS),
                        "-nodefaults", "-display", "none", "-no-reboot", "-kernel", str(kernel.image), "-initrd",
                        str(initrd), "-append", KERNEL_COMMAND_LINE, "-serial", f"file:{self.console}"]
        for i, disk in enumerate(map(str, disks)):
            path, _, mode = disk.partition(":")
            self.command += ["-drive", f"file={path},format=raw,if=none,id=d{i},file.locking=off"
                             + (",readonly=on" if mode else ""), "-device", f"virtio-blk-pci,drive=d{i}"]
        self.command += extra

    def start(self, serial):
        """The process; `serial`: where the second serial port leads, in QEMU's words."""
        return subprocess.Popen([*self.command, "-serial", serial], stdin=subprocess.DEVNULL)

    def run(self, limit_s, show):
        """Returns how it ended: "end", "plug" (a test asked to be cut off), "died" or "limit"."""
        process = self.start(f"file:{self.output}")
        end, position, ending = time.monotonic() + limit_s, 0, None
        try:
            while process.poll() is None and ending is None:
                time.sleep(0.1)
                position, text = self.follow(position, show)
                if PLUG in text:
                    ending = "plug"
                elif time.monotonic() > end:
                    ending = "limit"
        finally:
            process.kill()
            process.wait()
        _, text = self.follow(position, show)
        return ending or ("end" if END in self.read(self.output) else "died")

    def shell(self):
        process = subprocess.Popen([*self.command, "-serial", "mon:stdio"])
        process.wait()

    def follow(self, position, show):
        """Passes on whole lines that came since `position`."""
        text = self.read(self.output)[position:]
        text = text[:text.rfind("\n") + 1]
        for line in text.split("\n")[:-1]:
            show(line.rstrip("\r"))
        return position + len(text), text

    @staticmethod
    def read(path):
        return path.read_bytes().decode(errors="replace") if path.exists() else ""

    def splats(self):
        """Lines of the kernel's log that must not be there."""
        return [line.strip() for line in self.read(self.console).splitlines() if SPLAT.search(line)]
