# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts and their portal: registering, checking in, copies of hosts, keys with terms; and a portal that is not well."""
import http.server
import json
import shutil
import threading

import pytest

import lab
from lab import DONE
from portal import Portal
from publishing import kernel_patch
from test_eportald import make_host


@pytest.fixture
def portal(build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "portal") as made:
        yield made


@pytest.fixture
def key(portal):
    return portal.must("key", "-a", "--server-limit", "2").out.strip()


@pytest.fixture
def host(portal, tmp_path):
    return a_host(portal, tmp_path, "one")


def a_host(portal, tmp_path, name):
    host = make_host(portal, tmp_path / name)
    (host.root / "etc/machine-id").write_text(f"{name:0>32}\n".replace(name, name.encode().hex().zfill(32)[-32:]))
    return host


def systemid(host):
    return dict(line.split("=", 1) for line in (host.etc / "systemid").read_text().splitlines())


def servers(portal):
    return {server["id"]: server for server in portal.call("GET", "/admin/api/servers?limit=100").json["result"]}


# ------------------------------------------------------------------------------------------------------------ registering

def test_a_host_registers(portal, key, host):
    result = host.kcarectl("--register", key)
    assert result.code == DONE and result.out == "Server Registered\n", result
    identity = systemid(host)
    assert (host.etc / "systemid").stat().st_mode & 0o777 == 0o600
    assert identity["server_id"][0].isalpha() and len(identity["server_id"]) == 16
    listed = servers(portal)[identity["server_id"]]
    # it has checked in at once
    assert listed["checkin"] and listed["kernel_id"] and listed["distro"] == "debian" and listed["patch_level"] == 0
    info = host.kcarectl("--license-info")
    assert info.code == DONE and f"Key: {key}" in info.out and "Servers: 1 of 2" in info.out and "Feed: main" in info.out, info
    result = host.kcarectl("--unregister")
    assert result.code == DONE and result.out == "Server Unregistered\n", result
    assert not servers(portal) and not (host.etc / "systemid").exists()
    for option in ("--unregister", "--license-info"):
        result = host.kcarectl(option)
        assert result.code == 3 and "not-registered: " in result.err and "--register KEY" in result.err, result


@pytest.mark.parametrize("arguments, error", [
    (["--lock"], "key-locked"), (["--ends", "2020-01-01"], "key-ended"), (["--addresses", "192.0.2.0/24"], "address-not-allowed")])
def test_keys_that_are_no_good(portal, key, host, arguments, error):
    portal.must("key", "-c", *arguments, key)
    result = host.kcarectl("--register", key)
    assert result.code == 5 and f"{error}: " in result.err, result
    assert not (host.etc / "systemid").exists()


def test_unknown_keys_and_the_limit(portal, key, host, tmp_path):
    result = host.kcarectl("--register", "nobodys")
    assert result.code == 5 and "invalid-key: " in result.err, result
    for name in ("a", "b"):
        assert a_host(portal, tmp_path, name).kcarectl("--register", key).code == DONE
    result = host.kcarectl("--register", key, "--register-autoretry")
    assert result.code == 5 and "key-limit-reached: " in result.err, "what will not get better is not tried again"


def test_the_same_machine_again(portal, key, host):
    host.kcarectl("--register", key)
    first = systemid(host)["server_id"]
    (host.etc / "systemid").unlink()
    assert host.kcarectl("--register", key).code == DONE
    assert list(servers(portal)) == [systemid(host)["server_id"]] != [first]


# ------------------------------------------------------------------------------------------------------------ checking in

def check_in(host):
    """What any update run does; in this container it can load nothing."""
    return host.kcarectl("--auto-update", "-v")


def test_every_run_checks_in(portal, key, host):
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
    host.kcarectl("--register", key)
    server = systemid(host)["server_id"]
    assert servers(portal)[server]["status"] == "outdated" and servers(portal)[server]["offered_level"] == 1
    result = check_in(host)
    assert servers(portal)[server]["last_error"].startswith(result.err.split(": ", 2)[1]), result
    # tags of the host, and those of the operator
    assert host.kcarectl("--tag", "env:prod;ubuntu").out == "The tags were set\n"
    portal.must("server", "tag", server, "rack:7")
    assert sorted(servers(portal)[server]["tags"].split(";")) == ["env:prod", "rack:7", "ubuntu"]
    assert host.kcarectl("--tag", "").code == DONE and servers(portal)[server]["tags"] == "rack:7"
    result = host.kcarectl("--tag", "a\nb")
    assert result.code == 6 and "bad-input: " in result.err, result


def test_a_copied_host_is_told_from_its_original(portal, key, host, tmp_path):
    host.kcarectl("--register", key)
    original = systemid(host)["server_id"]
    copy = a_host(portal, tmp_path, "copy")
    shutil.rmtree(copy.root)
    shutil.copytree(host.root, copy.root)
    check_in(host)
    check_in(host)
    check_in(copy)  # comes with a nonce that is over
    assert systemid(host)["server_id"] == original
    assert systemid(copy)["server_id"] != original and systemid(copy)["instance"]
    for one in (host, copy, host, copy):
        check_in(one)
    assert set(servers(portal)) == {original, systemid(copy)["server_id"]}


def test_a_portal_that_lost_the_host(portal, key, host):
    """Restored from before it registered, say: it registers again with the key that it has."""
    host.kcarectl("--register", key)
    portal.must("server", "remove", systemid(host)["server_id"])
    check_in(host)
    assert list(servers(portal)) == [systemid(host)["server_id"]]


def test_a_portal_that_was_restored(portal, key, host, tmp_path):
    host.kcarectl("--register", key)
    server = systemid(host)["server_id"]
    portal.must("backup-db", tmp_path / "copy.db")
    check_in(host)
    check_in(host)
    portal.must("restore", "--db", tmp_path / "copy.db")
    check_in(host)
    assert list(servers(portal)) == [server] == [systemid(host)["server_id"]], "an old nonce is no copy after a restore"


# ----------------------------------------------------------------------------------------------------------- the key's terms

def test_the_feed_of_the_key(portal, key, host):
    portal.must("feed", "-a", "test")
    portal.must("kcare", "deploy", "--feed", "test", portal.archive("K20261101_01", [kernel_patch(1)]))
    portal.must("key", "-c", "--feed", "test", key)
    assert host.kcarectl("--check").code == 1, "main has nothing"
    host.kcarectl("--register", key)
    assert "level 1" in host.kcarectl("--check").out
    # a choice of the host itself is never overridden
    host.configure(PREFIX="main")
    assert host.kcarectl("--check").code == 1


def test_the_sticky_date_of_the_key(portal, key, host):
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)], released="2026-11-01"))
    portal.must("kcare", "deploy", portal.archive("K20261120_01", [kernel_patch(2)], released="2026-11-20"))
    host.configure(STICKY_PATCH="KEY", STICKY_LIMIT=0)
    result = host.kcarectl("--check")
    assert result.code == 5 and "not registered" in result.err, result
    portal.must("key", "-c", "--sticky", "2026-11-10", key)
    host.kcarectl("--register", key)
    assert "level 1" in host.kcarectl("--check").out
    portal.must("key", "-c", "--sticky", "yesterday", key)
    check_in(host)
    assert "level 2" in host.kcarectl("--check").out
    # gone: what it said last still counts
    portal.stop()
    assert host.kcarectl("--auto-update").code != DONE
    assert json.loads((host.cache / "portal.json").read_text())["answer"]["terms"]["sticky"] == "yesterday"


# -------------------------------------------------------------------------------------------------------------------- reports

def test_a_report(portal, key, host):
    host.kcarectl("--register", key)
    secret = systemid(host)["secret"]
    host.configure(HTTPS_PROXY="http://user:hunter2@proxy.example:3128")
    result = host.kcarectl("--doctor")
    assert result.code == DONE and result.out.splitlines()[:2] == ["Generating report...", "Uploading..."], result
    name = result.out.split("Key: ")[1].split()[0]
    assert len(name.split(".")[0]) == 16
    report = next((portal.data / "reports").iterdir())
    assert report.name.startswith(name)
    text = report.read_text()
    assert secret not in text and "hunter2" not in text and key not in text and "kernel" in text


def test_a_report_that_cannot_be_sent(portal, host):
    portal.stop()
    result = host.kcarectl("--doctor")
    kept = host.root / "root/cl-report"
    assert result.code == DONE and str(kept) in result.out and kept.stat().st_mode & 0o777 == 0o600, result


# ------------------------------------------------------------------------------------------------- a portal that is not well

class Stranger:
    """Answers every POST with the same thing."""

    def __init__(self, status, body, headers=()):
        stranger = self
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                stranger.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                for name, value in headers:
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


@pytest.mark.parametrize("status, body, code, says", [
    (200, b"", 6, ""),
    (200, b"{}", 6, "server_id"),
    (200, b'{"server_id": 5}', 6, "server_id"),
    (200, b"<html>It works!</html>", 6, ""),
    (404, b"not here", 8, "is its URL right?"),
    (400, b'{"error":"invalid-key","message":"no"}', 5, "invalid-key: no"),
    (400, b'{"error":"from-the-future","message":"what"}', 8, "from-the-future"),
    (500, b'{"error":"database","message":"disk full"}', 1, "disk full"),
])
def test_strange_answers(portal, host, status, body, code, says):
    with Stranger(status, body) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = host.kcarectl("--register", "KEY")
        assert result.code == code and says in result.err and len(result.err.splitlines()) == 1, result
    assert not (host.etc / "systemid").exists()


def test_one_version_apart(portal, key, host):
    """Members that this version does not know are nobody's business."""
    answer = portal.register(key, future={"a": [1, 2]}, more="text")
    assert answer.status == 200, answer
    with Stranger(200, json.dumps({"server_id": "A" * 16, "secret": "0" * 64, "nonce": "1" * 32, "terms": {"feed": "main"},
                                   "future": True}).encode()) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        assert host.kcarectl("--register", "KEY").code == DONE


def test_a_portal_that_is_away_stops_nothing(portal, key, host):
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
    host.kcarectl("--register", key)
    with Stranger(503, b"{}", [("Retry-After", "100")]) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = check_in(host)
        assert result.seconds < 20 and "the portal was not told" in result.err, result
        assert stranger.asked < 5
