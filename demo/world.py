# SPDX-License-Identifier: GPL-2.0-or-later
"""A world of its own for `make demo`: a process table, mounts, a host name, and a folder. However the demo ends, the world
ends with it, and with the world all that was started in it; nothing of the system is patched or changed.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

INSIDE = "KCARE_DEMO_WORLD"
NAMESPACES = ["unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
INTERRUPTED = 128 + signal.SIGINT
PATIENCE_S = 10


def run(story):
    """Runs `story(folder)` in such a world, as root; gives its exit code."""
    if INSIDE in os.environ:
        return inside(story)
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "-E", sys.executable, *sys.argv])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(INTERRUPTED))
    folder = tempfile.mkdtemp(prefix="kcare-demo-")
    try:
        os.chmod(folder, 0o711)  # downloads run as nobody, and read the portal's certificate there
        return outside(folder)
    finally:
        shutil.rmtree(folder)


def outside(folder):
    command = ["setpriv", "--pdeathsig", "KILL", *NAMESPACES, sys.executable, *sys.argv]
    world = subprocess.Popen(command, env=os.environ | {INSIDE: folder})
    try:
        return world.wait()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        end(world)


def end(world):
    """Ends its first process, and the kernel all others; they are gone when unshare has waited for that one."""
    children = pathlib.Path(f"/proc/{world.pid}/task/{world.pid}/children")
    for number in (signal.SIGINT, signal.SIGKILL):
        if world.poll() is not None:
            return
        for pid in children.read_text().split():
            os.kill(int(pid), number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            world.wait(PATIENCE_S)


def inside(story):
    socket.sethostname("host")
    if os.path.isdir("/dev/shm"):  # where compilers that are killed leave files
        subprocess.run(["mount", "-t", "tmpfs", "shm", "/dev/shm"], check=True)
    try:
        return story(pathlib.Path(os.environ.pop(INSIDE)))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return INTERRUPTED
