# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that register with a portal; and one that is none, which says whatever a scenario wants.

Fixtures: `key` (for two servers), `host`.
"""
import http.server
import json
import threading

import pytest


@pytest.fixture
def key(portal):
    return portal.must("key", "-a", "--server-limit", "2").out.strip()


@pytest.fixture
def host(portal, tmp_path):
    return a_host(portal, tmp_path, "one")


def a_host(portal, tmp_path, name):
    host = portal.make_host(tmp_path / name)
    (host.root / "etc/machine-id").write_text(f"{name:0>32}\n".replace(name, name.encode().hex().zfill(32)[-32:]))
    return host


def systemid(host):
    return dict(line.split("=", 1) for line in (host.etc / "systemid").read_text().splitlines())


def servers(portal):
    return {server["id"]: server for server in portal.call("GET", "/admin/api/servers?limit=100").json["result"]}


def check_in(host):
    """What any update run does; in this container it can load nothing."""
    return host.kcarectl("--auto-update", "-v")


class Stranger:
    """A portal that is none. `answer(path, message)` gives (status, body) or (status, body, headers); anything else: none."""

    def __init__(self, answer):
        stranger = self
        self.said = []  # (path, message)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stranger.said.append((self.path.rsplit("/", 1)[1], message))
                made = answer(*stranger.said[-1])
                if not made:
                    self.close_connection = True
                    return
                status, body, *headers = made
                self.send_response(status)
                for name, value in headers[0] if headers else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/admin/api/kcare"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def events(self):
        """What was checked in since the last call: [("periodic", message)]."""
        said, self.said = self.said, []
        return [(message["event"], message) for path, message in said if path == "checkin"]


def good(path, message):
    """The least that a portal must say."""
    if path == "register":
        return 200, json.dumps({"server_id": "A" * 16, "secret": "0" * 64, "nonce": "1" * 32}).encode()
    return 200, json.dumps({"nonce": f"{int(message['nonce'], 16) + 1:032x}"} if path == "checkin" else {}).encode()


def error(name, status=400):
    return lambda path, message: (status, json.dumps({"error": name, "message": f"because of {name}"}).encode())
