# SPDX-License-Identifier: GPL-2.0-or-later
"""A portal as an operator runs one: `kc.eportal init`, `eportald`, and calls to its API. For scenarios and benches.

    with Portal(build_folder, tmp_path, publisher_author) as portal:
        key = portal.must("key", "-a").out.strip()
"""
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import lab
import publishing

PASSWORD = "correct horse battery staple"


def make_certificate(folder, name, *addresses):
    """cert.pem and key.pem in `folder`: ECDSA, signed by itself; for the name, 127.0.0.1 and these addresses."""
    folder.mkdir(exist_ok=True)
    names = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in ("127.0.0.1", *addresses))])
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, stderr=subprocess.DEVNULL)


def copies_of_server(database, condition, n, **made):
    """SQL for n rows more, like that of the server that meets the condition but for `made`: {column: SQL, where n counts}."""
    columns = [row[1] for row in database.execute("PRAGMA table_info(servers)")]
    copied = ", ".join({"machine_id": "n", **made}.get(column, column) for column in columns)
    return (f"INSERT INTO servers WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {n}) "
            f"SELECT {copied} FROM (SELECT * FROM servers WHERE {condition} LIMIT 1), number;")


class SocketConnection(http.client.HTTPConnection):
    """Through the portal's socket, where nobody asks for a password."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text}"


class Portal:
    """`author`: a folder with the author's keys, made when it is None. `listen`: of `init`. `prefix`: words before
    eportald's command that end in running it as the same process; `environment`: what else it finds there."""

    def __init__(self, build, folder, author=None, listen=None, **configuration):
        self.build, self.folder = pathlib.Path(build), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data, self.offline = self.folder / "data", self.folder / "offline"
        self.author = author or self.folder / "author"
        if not author:
            publishing.run(build, "kcare-build", "keygen", self.author)
        (self.folder / "password").write_text(PASSWORD + "\n")
        made = self.kc("init", self.data, "--keys", self.offline, "--author", self.author / "author.pub", "--no-passphrase",
                       "--password-file", self.folder / "password", *(["--listen", listen] if listen else []))
        assert made.code == 0, made
        self.root_json, self.public = self.offline / "root.json", self.data / "repository/public"
        self.configuration, self.prefix, self.environment = configuration, [], {}
        self.process = self.port = None

    # ------------------------------------------------------------------------------------------------------ the daemon

    def program(self):
        return self.build / "src/cmd/eportald"

    def start(self, listen="127.0.0.1:0"):
        """`listen` None: where its configuration says."""
        at = self.launch(listen)
        lab.wait_until(lambda: self.find_port(at), 30, "eportald listens")
        return self

    def launch(self, listen="127.0.0.1:0"):
        """Only begins. Returns where in its log."""
        self.log = (self.folder / "log").open("a")
        at = len(self.said())
        settings = [word for key, value in self.configuration.items() for word in ("--set", f"{key}={value}")]
        settings += ["--listen", listen] if listen else []
        self.process = subprocess.Popen([*self.prefix, self.program(), "--foreground", "--data", self.data, *settings],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=os.environ | self.environment)
        return at

    def find_port(self, at=0):
        assert self.process.poll() is None, self.said()
        found = re.search(r"listening at .*, port (\d+)", self.said()[at:])
        self.port = int(found[1]) if found else None
        return bool(found)

    def said(self):
        return (self.folder / "log").read_text()

    def stop(self, how=signal.SIGTERM):
        """Its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(60)
        said = self.said()
        assert "Sanitizer" not in said and "runtime error:" not in said, said
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            assert self.stop() == 0, self.said()

    # ------------------------------------------------------------------------------------------------------ asking it

    @property
    def certificate(self):
        return self.configuration.get("TLS_CERTIFICATE")

    @property
    def url(self):
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    def kc(self, *args, **options):
        """kc.eportal."""
        return publishing.run(self.build, "kc.eportal", *args, env={"KC_EPORTAL_SOCKET": str(self.data / "socket")}, **options)

    def must(self, *args):
        result = self.kc(*args)
        assert result.code == 0, result
        return result

    def call(self, method, path, body=None, user="admin", password=PASSWORD, headers=None, content_type="application/json"):
        """One call to the API; `user` None: nobody. `body`: bytes, text, or what becomes JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        if data is not None:
            request.add_header("Content-Type", content_type)
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
        trusted = ssl.create_default_context(cafile=self.certificate) if self.certificate else None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read().decode())

    def register(self, key, hostname="host", machine="machine", **more):
        return self.call("POST", "/admin/api/kcare/register", {"key": key, "hostname": hostname, "machine_id": machine, **more},
                         user=None)

    # -------------------------------------------------------------------------------------------------- publishing to it

    def archive(self, name, patches, **options):
        """A patchset's archive, signed by the portal's author."""
        maker = Author(self.build, self.folder / "made", self.author)
        return maker.patchset(name, patches, **options)

    def make_host(self, folder, **configuration):
        """A host that is asked to use this portal, and trusts its root and its author. It is not registered."""
        host = publishing.Host(self.build, folder, url=self.url, **configuration)
        (host.etc / "keys").mkdir()
        shutil.copy(self.author / "author.pub", host.etc / "keys")
        shutil.copy(self.root_json, host.etc / "root.json")
        return host


class Author(publishing.Publisher):
    """The half of a publisher that needs no repository."""

    def __init__(self, build, folder, author):  # pylint: disable=super-init-not-called
        self.build, self.folder, self.author = pathlib.Path(build), pathlib.Path(folder), author
        self.folder.mkdir(parents=True, exist_ok=True)
