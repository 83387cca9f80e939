# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of downloads work with: servers whose every byte the test decides, and fetch_one, which asks the helper.

Fixtures to import: serve, programs and fetch, path, partial.
"""

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import lab
from lab import DONE

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)


def answer(body=b"", status="200 OK", headers=(), length=None):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Request:
    def __init__(self, head, number, connection):
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = self.line.split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.number, self.connection, self.body = number, connection, b""

    @property
    def first_byte(self):
        return int(re.fullmatch(r"bytes=(\d+)-", self.headers["range"])[1]) if "range" in self.headers else 0


class Server:
    """A server whose every answer is made by `handle(request)`: bytes, or None when it has dealt with the connection
    itself, which is closed then."""

    def __init__(self, handle, context=None):
        self.handle, self.context, self.requests, self.n_connections = handle, context, [], 0
        self.open, self.over = [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.n_connections += 1
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.open.append(connection)
            with connection:
                while self.serve_one(connection):
                    pass

    def serve_one(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return False
            head += piece
        request = Request(head[:-4], len(self.requests), connection)
        while len(request.body) < int(request.headers.get("content-length", 0)):
            piece = connection.recv(65536)
            if not piece:
                return False
            request.body += piece
        self.requests.append(request)
        made = self.handle(request)
        if made is not None:
            connection.sendall(made)
        return made is not None

    def close(self):
        self.over.set()
        for connection in (self.listener, *self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture
def serve():
    servers = []

    def start(handle, context=None):
        servers.append(Server(handle, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def programs(build_folder, workshop):
    """fetch_one with kcare-fetch beside it, where the helper's user may enter."""
    folder = workshop / "fetch"
    folder.mkdir(exist_ok=True)
    shutil.copy(build_folder / "src/cmd/kcare-fetch", folder)
    shutil.copy(build_folder / "tests/tools/fetch_one", folder)
    return folder


def clean_environment(extra=None):
    names = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir")
    kept = {k: v for k, v in os.environ.items() if k.lower() not in names}
    return kept | {"LC_ALL": "C.UTF-8", **(extra or {})}


class Fetch:
    """fetch_one, whose limits are short unless a test says otherwise."""

    def __init__(self, folder):
        self.program = folder / "fetch_one"

    def command(self, *arguments, **options):
        options = {"retry_ms": 20, "connect_ms": 3000, "stall_ms": 2000, "total_ms": 20000, **options}
        return [str(self.program), *(f"{k}={v}" for k, v in options.items()), *map(str, arguments)]

    def __call__(self, *arguments, env=None, prefix=(), send=b"", **options):
        command = [*prefix, *self.command(*arguments, **options)]
        begin = time.monotonic()
        done = subprocess.run(command, env=clean_environment(env), input=send, capture_output=True, timeout=90, check=False)
        result = lab.Result(command, done.returncode, done.stdout, done.stderr.decode(), time.monotonic() - begin)
        assert "Sanitizer" not in result.err and "runtime error:" not in result.err, result
        return result

    def get(self, url, limit=10 * SIZE, **options):
        return self("get", url, limit, **options)

    def post(self, url, body=b"{}", limit=65536, **options):
        return self("post", url, limit, send=body, **options)

    def file(self, url, path, size=SIZE, sha256=SHA256, **options):
        return self("file", url, sha256, size, path, **options)

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments, **options), env=clean_environment(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)


@pytest.fixture
def fetch(programs):
    return Fetch(programs)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir(mode=0o755)
    return folder / "content"


def expect(result, code, *texts):
    assert result.code == code, result
    for text in texts:
        assert text in result.err, result


def expect_file(result, path):
    expect(result, DONE)
    assert path.read_bytes() == CONTENT


def from_first_byte(request, content=CONTENT):
    """What a good server answers."""
    first = request.first_byte
    if not first:
        return answer(content)
    if first >= len(content):
        return answer(b"", "416 Range Not Satisfiable")
    return answer(content[first:], "206 Partial Content",
                  [f"Content-Range: bytes {first}-{len(content) - 1}/{len(content)}"])


@pytest.fixture
def partial(path):
    def make(content):
        path.write_bytes(content)
        path.chmod(0o600)

    return make
