# SPDX-License-Identifier: GPL-2.0-or-later
"""What both halves of `make demo` share: how they show what they do, and the way of a patch from its author to a host."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TOP / "tests/scenario"))

import lab  # noqa: E402 (the path comes first)
import web  # noqa: E402

BOLD, GREEN, RED, RESET = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


class Failure(Exception):
    """What ends the demo; said in one line."""


def say(text=""):
    print(text, flush=True)


def step(text):
    say(f"\n{BOLD}{text}{RESET}")


class Tools:
    """The programs under their names, in the folder `work`; `root` is the KCARE_ROOT of those that have one."""

    def __init__(self, build, work, root=None):
        self.build, self.work = build, work
        self.env = dict({"KCARE_BUILD_CACHE": "/var/cache/kcare/build"}, **os.environ)
        if root:
            self.env["KCARE_ROOT"] = str(root)

    def show(self, program, *args, capture=False):
        """Shows the command as one would type it, and runs it; progress goes to the terminal."""
        words = [program, *map(str, args)]
        say(f"$ {' '.join(words)}")
        done = subprocess.run([self.build / "src/cmd" / program, *words[1:]], env=self.env, cwd=self.work, text=True,
                              check=False, stdout=subprocess.PIPE if capture else None)
        if done.returncode != 0:
            raise Failure(f"{program} ended with code {done.returncode}")
        return done.stdout

    def patch_files(self):
        return sorted(path.relative_to(self.work) for path in (self.work / "out").glob("*.kpatch"))

    def timed(self, program, *args):
        start = time.monotonic()
        self.show(program, *args)
        say(f"  {time.monotonic() - start:.1f} s")


def publish(tools, patchset, advice=True):
    """A repository with what is in out/, as a release of its own; gives the folder that a web server shows. `advice`: with
    what kcare-repo says to those who run one for the first time."""
    tools.show("kcare-build", "patchset", patchset, "out", "--key", "author/author.key", "-o", f"{patchset}.tar.bz2")
    tools.show("kcare-repo", "init", "repository", "--keys", "offline", "--author", "author/author.pub", "--no-passphrase",
               capture=not advice)
    tools.show("kcare-repo", "deploy", "repository", f"{patchset}.tar.bz2", "--feed", "main")
    return tools.work / "repository/public"


@contextlib.contextmanager
def served(folder, work):
    """Any web server will do; gives its port on 127.0.0.1."""
    if shutil.which("nginx"):
        with web.Web(folder, work / "web") as nginx:
            say(f"  nginx shows {folder.relative_to(work)} on port {nginx.port}")
            yield nginx.port
        return
    port = lab.free_port()
    server = subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lab.wait_until(lambda: is_listening(port), 20, "the web server answers")
        say(f"  python3 -m http.server shows {folder.relative_to(work)} on port {port}")
        yield port
    finally:
        server.kill()
        server.wait()


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
