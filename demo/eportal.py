# SPDX-License-Identifier: GPL-2.0-or-later
"""The portal of `make demo`, as docs/portal.md has it, with TLS of its own."""
import json
import secrets
import sys

from stage import TOP, Failure, Shell

sys.path.append(str(TOP / "tests/scenario"))

import lab  # noqa: E402 (the path comes first)

HERE, SEEN_FROM_GUESTS = "127.0.0.1", "10.0.2.2"
CERTIFICATE = ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=portal "
               f"-addext subjectAltName=IP:{HERE},IP:{SEEN_FROM_GUESTS} -keyout portal.key -out portal.crt")
START_LIMIT_S = 30


class Eportal:
    """A portal that runs, and who administers it."""

    def __init__(self, work):
        self.work, self.port = work, lab.free_port()
        self.shell = Shell("portal#", work, KC_EPORTAL_SOCKET=work / "portal/socket", no_proxy="*")
        self.password = secrets.token_urlsafe(12)
        (work / "password").touch(0o600)
        (work / "password").write_text(self.password + "\n")
        self.shell.show(CERTIFICATE, lines=0)
        self.shell.show("kc.eportal init portal --keys offline --author author/author.pub --no-passphrase --password-file password",
                        lines=3)
        (work / "eportald.log").touch()
        self.process = self.shell.start(f"eportald --foreground --data portal --listen {HERE}:{self.port} "
                                        "--set TLS_CERTIFICATE=portal.crt --set TLS_KEY=portal.key 2>eportald.log")
        lab.wait_until(self.listens, START_LIMIT_S, "the portal listens")

    def listens(self):
        if self.process.poll() is not None:
            raise Failure((self.work / "eportald.log").read_text())
        return "listening at" in (self.work / "eportald.log").read_text()

    def address(self, seen_from=HERE):
        return f"https://{seen_from}:{self.port}"

    def deploy(self, library_archive, kernel_archive):
        self.shell.show(f"kc.eportal libcare deploy {library_archive}")
        self.shell.show(f"kc.eportal kcare deploy {kernel_archive}")

    def block(self, library_patchset, kernel_patchset):
        self.shell.show(f"kc.eportal libcare block {library_patchset}")
        self.shell.show(f"kc.eportal kcare block {kernel_patchset}")

    def new_key(self):
        return self.shell.show("kc.eportal key -a --server-limit 2 --note demo").strip()

    def show_servers(self):
        """Gives {host name: server}."""
        self.shell.show("kc.eportal server list")
        code, text = self.shell.run("kc.eportal server list --json")
        if code != 0:
            raise Failure(text)
        return {server["hostname"]: server for server in json.loads(text)}

    def expect_servers(self, **levels):
        """Shows them; by name, the level that each should have: the guest's kernel, and the one process of the host."""
        servers = self.show_servers()
        found = {name: server["libcare"]["patched"] if name == "host" else server["patch_level"] for name, server in servers.items()}
        if found != levels:
            raise Failure(f"the portal should list {levels}, and lists {found}")
