# SPDX-License-Identifier: GPL-2.0-or-later
"""The host of `make demo`: a server that uses a vulnerable library, under load."""
import os
import socket
import subprocess
import threading

from eportal import HERE
from stage import Failure, Shell, say, verdict

THREADS = 64
WRONG = "the nonce is ignored, so two messages tell their difference"


class Host:
    """`libraries`: the folder of the library that its server uses."""

    update_command = "kcarectl --userspace-update"

    def __init__(self, build, work, libraries):
        self.root = work / "host"
        (self.root / "etc/sysconfig/kcare").mkdir(parents=True)
        self.shell = Shell("host#", work, KCARE_ROOT=self.root, no_proxy="*")
        self.vault = Vault(build / "demo/vault", libraries)
        say(f"  on the host: process {self.vault.process.pid}, {THREADS} threads, {self.vault.library}, under load")

    def follow(self, portal, key):
        say(f"  (the host's files are below KCARE_ROOT={self.root})")
        self.shell.environment["CURL_CA_BUNDLE"] = str(portal.work / "portal.crt")
        say(f"{self.shell.prompt} export CURL_CA_BUNDLE={portal.work}/portal.crt")
        self.shell.show("kcarectl --import-key author/author.pub", lines=0)
        self.shell.show("kcarectl --import-key offline/root.json", lines=0)
        self.shell.show(f"echo PATCH_SERVER={portal.address(HERE)} >>$KCARE_ROOT/etc/sysconfig/kcare/kcare.conf")
        self.shell.show(f"kcarectl --register {key}")

    def is_vulnerable(self):
        """Shows it: two nonces must give two ciphertexts."""
        first, second = self.vault.ask("first-nonce-"), self.vault.ask("second-nonce")
        say(f"  nonce first-nonce-   {first}\n  nonce second-nonce   {second}")
        verdict(first == second, WRONG, "every nonce gives another ciphertext")
        return first == second

    def show_state(self):
        self.shell.show(f"libcare-ctl info -p {self.vault.process.pid}")
        self.shell.show("cat $KCARE_ROOT/var/cache/kcare/libcare_cvelist")


class Vault:
    """The server (vault.c), and a client that never stops asking."""

    def __init__(self, program, libraries):
        env = dict(os.environ, LD_LIBRARY_PATH=str(libraries))
        self.process = subprocess.Popen([program, str(THREADS)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port "):
            raise Failure("the server did not start")
        self.port, self.library = int(line.split()[1].rstrip(",")), line.split(", ")[1].strip()
        self.requests = self.failures = 0
        self.stopping = threading.Event()
        self.client = threading.Thread(target=self.load, daemon=True)
        self.client.start()

    def ask(self, nonce):
        with socket.create_connection((HERE, self.port), timeout=10) as connection:
            connection.sendall(nonce.encode() + b"\n")
            return connection.makefile().readline().strip()

    def load(self):
        while not self.stopping.is_set():
            self.requests += 1
            try:
                self.failures += len(self.ask(f"{self.requests:012d}")) != 64
            except OSError:
                self.failures += 1

    def rest(self):
        """The client stops."""
        self.stopping.set()
        self.client.join()

    def expect_no_failures(self):
        self.rest()
        say(f"\n{self.requests} requests were served meanwhile, {self.failures} failed.")
        if self.failures:
            raise Failure("requests failed")
