# SPDX-License-Identifier: GPL-2.0-or-later
"""What is outside of a guest with `network = true`: a publisher and its web server, or a portal, and a host with a process of
its own.

The test in the guest says what happens next (guest/outside.py): a method's name and its arguments go to the conductor by HTTP,
and what the method gave comes back. Runs in the process of tests/vm/run; the harness is that of tests/scenario.
"""
import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback

from cache import TOP

sys.path.append(str(TOP / "tests/scenario"))

import cms  # noqa: E402 (the path comes first)
import hosts  # noqa: E402
import lab  # noqa: E402
import packages  # noqa: E402
import portal  # noqa: E402
import publishing  # noqa: E402
import web  # noqa: E402

ADDRESS_INSIDE = "10.0.2.2"  # this host, as guests see it: machine.NETWORK
COMMANDS = ("begin", "begin_portal", "kernel_patchset", "user_patchset", "repo",
            "portal", "portal_api", "portal_events", "portal_certificate",
            "start_server", "kill_server", "pause_server", "resume_server", "requests",
            "start_host", "configure_host", "host", "host_cvelist", "ask_host")
EVENTS = ("periodic", "before", "after", "later", "failed")  # as the portal counts them: src/proto/proto.h


class SitePortal(portal.Portal):
    """With TLS of its own; in the place of both a publisher and its web server."""

    def __init__(self, build, folder, author, port):
        tls = folder / "tls"
        folder.mkdir()
        portal.make_certificate(tls, "portal", ADDRESS_INSIDE)
        super().__init__(build, folder, author, TLS_CERTIFICATE=tls / "cert.pem", TLS_KEY=tls / "key.pem")
        self.listen = f"127.0.0.1:{port}"

    patchset = portal.Portal.archive

    def start(self):  # pylint: disable=arguments-differ
        return super().start(self.listen)

    def stop(self):  # pylint: disable=arguments-differ
        """Dies at once."""
        if self.process and self.process.poll() is None:
            super().stop(signal.SIGKILL)


class Conductor:
    """`patch_files`: {name: path} of the guest's kernel patches; `author`: the folder of the key that has signed them."""

    def __init__(self, build, folder, author, patch_files):
        self.build, self.folder, self.author, self.patch_files = build, folder, author, patch_files
        self.turn, self.publisher, self.web, self.port = 0, None, None, lab.free_port()
        self.box = self.target = self.followed = self.packages = None
        folder.mkdir()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.lock = threading.Lock()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.end_host()
        if self.web:
            self.web.stop()

    def settings(self):
        """For guest/start and guest/outside.py."""
        return {"KCARE_VM_NETWORK": 1, "export KCARE_VM_OUTSIDE": f"http://{ADDRESS_INSIDE}:{self.server.server_port}"}

    # ----------------------------------------------------------------------------------------------------- the channel

    def handler(self):
        conductor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(conductor.obey(self.path[1:], words), default=str).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler

    def obey(self, command, words):
        """{"gave": …} or {"problem": text}."""
        try:
            if command not in COMMANDS:
                raise AssertionError(f"the conductor does not know {command!r}")
            with self.lock:
                gave = getattr(self, command)(*words["args"], **words["options"])
        except Exception:  # the guest's test fails with it
            return {"problem": traceback.format_exc()}
        return {"gave": dataclasses.asdict(gave) if dataclasses.is_dataclass(gave) else gave}

    # --------------------------------------------------------------------------------------------------- the publisher

    def begin(self):
        """A new repository, with the feed main, behind the same address; gives that and the root that hosts begin with."""
        work = self.next_turn()
        self.publisher = publishing.Publisher(self.build, work, self.author)
        self.web = web.Web(self.publisher.public, work / "web", self.port).start()
        return {"server": f"http://{ADDRESS_INSIDE}:{self.port}", "root": self.publisher.root_json.read_text()}

    def begin_portal(self):
        """A new portal instead."""
        self.publisher = SitePortal(self.build, self.next_turn() / "portal", self.author, self.port)
        self.web = self.publisher.start()
        return {"server": f"https://{ADDRESS_INSIDE}:{self.port}", "root": self.publisher.root_json.read_text()}

    def portal_certificate(self):
        """What whoever asks it must trust."""
        return self.publisher.certificate.read_text()

    def next_turn(self):
        """The folder of a new beginning."""
        self.turn += 1
        self.end_host()
        if self.web:
            self.web.stop()
        work = self.folder / str(self.turn)
        work.mkdir()
        return work

    def kernel_patchset(self, name, *patches, **options):
        """Its archive, of patches of patches.toml."""
        return str(self.publisher.patchset(name, [self.patch_files[patch] for patch in patches], **options))

    def user_patchset(self, name, *cves, level, **options):
        """Its archive: the patch of that level for libcrypto, which has the fixes of these CVEs as Debian's sources have them."""
        maker = self.make_packages()
        fixes = [maker.derive(cve) for cve in cves]
        assert len({fix.target for fix in fixes}) == 1, f"no version lacks all of these: {fixes}"
        folder = maker.patch(fixes[0].target, *(fix.path for fix in fixes), level=level, patchset=name)
        return str(self.publisher.patchset(name, sorted(folder.glob("*.kpatch")), **options))

    def make_packages(self):
        if not self.packages:
            cache = pathlib.Path(os.environ.get("KCARE_CACHE", "/var/cache/kcare"))
            builder = lab.Kcare(self.build, self.folder / "builder", cache)
            builder.key = self.author / "author.key"
            (self.folder / "packages").mkdir()
            self.packages = packages.Packages(builder, self.folder / "packages", cache)
        return self.packages

    def repo(self, command, *args):
        """`kcare-repo COMMAND REPOSITORY ARGS`."""
        return self.publisher.run("kcare-repo", command, self.publisher.repository, *args)

    def portal(self, *args):
        """kc.eportal ARGS"""
        return self.publisher.kc(*args)

    def portal_api(self, method, path, **options):
        """Of a call to its API: [status, JSON]."""
        answer = self.publisher.call(method, path, **options)
        return [answer.status, answer.json]

    def portal_events(self, server_id):
        """Of the check-ins of a server that are in the history, the oldest first."""
        with contextlib.closing(sqlite3.connect(f"file:{self.publisher.data}/portal.db?mode=ro", uri=True)) as database:
            return [EVENTS[event] for event, in
                    database.execute("SELECT event FROM checkins WHERE server_id = ? ORDER BY at, rowid", [server_id])]

    def start_server(self):
        """Again, at the same address."""
        self.web.start()

    def kill_server(self):
        self.web.stop()

    def pause_server(self):
        """Connections are taken, and nothing is answered."""
        os.killpg(self.web.process.pid, signal.SIGSTOP)

    def resume_server(self):
        os.killpg(self.web.process.pid, signal.SIGCONT)

    def requests(self):
        """What was asked for since the last time."""
        return self.web.requests()

    # -------------------------------------------------------------------------------------------------------- the host

    def start_host(self, **configuration):
        """A host whose only process uses the vulnerable libcrypto; gives its questions, {CVE: question}: see ask_host()."""
        if os.geteuid() != 0:
            raise PermissionError("a PID namespace needs root on the host that runs the guests")
        self.box = hosts.Box()
        self.followed = publishing.Host(self.build, self.folder / str(self.turn) / "host", self.publisher, self.web.url,
                                        **configuration)
        fix = self.make_packages().derive("CVE-2026-45445")
        program = self.folder / "hole_crypto"
        sources = [lab.TARGETS / "hole_crypto.c", lab.TARGETS / "loop.c"]
        subprocess.run(["gcc", "-O2", "-g", "-D_GNU_SOURCE", *sources, "-lcrypto", "-o", program], check=True)
        self.target = lab.Target([*self.box.enter, program], {"LD_LIBRARY_PATH": str(fix.file("libcrypto.so.3").parent)},
                                 inner=True)
        return {"CVE-2026-45445": "ocb", "CVE-2026-42766": f"pwri {cms.password_messages(self.folder)[1]}"}

    def configure_host(self, **values):
        self.followed.configure(**values)

    def host(self, *args):
        """kcarectl of the host, which sees that process and no other."""
        certificate = getattr(self.publisher, "certificate", None)
        trusted = {"CURL_CA_BUNDLE": str(certificate)} if certificate else {}
        return self.followed.kcarectl(*args, prefix=self.box.enter, env=trusted)

    def host_cvelist(self):
        return hosts.cvelist(self.followed)

    def ask_host(self, question):
        """Asks the process whether a hole is open: see tests/targets/hole_crypto.c."""
        return self.target.ask(question)

    def end_host(self):
        if self.target:
            self.target.close()
        if self.box:
            self.box.close()
        self.box = self.target = None
