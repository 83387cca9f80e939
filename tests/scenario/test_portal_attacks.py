# SPDX-License-Identifier: GPL-2.0-or-later
"""What strangers, and hosts that lie, try with a portal: to lock others out, to fill it up, to learn what is not theirs.

Addresses are those that a trusted proxy names; each test has some of its own, so one portal is enough.
"""
import contextlib
import http.client
import json
import shutil
import socket
from concurrent import futures

import pytest

import lab
from portal import Portal


@pytest.fixture(scope="module")
def portal(build_folder, tmp_path_factory):
    with Portal(build_folder, tmp_path_factory.mktemp("attacks"), TRUSTED_PROXIES="127.0.0.1") as made:
        yield made


def ask(portal, address, path="/metrics", method="GET", body=None, user="admin", **options):
    """The status of a call from an address."""
    return portal.call(method, path, body, user=user, headers={"X-Forwarded-For": address}, **options).status


# ------------------------------------------------------------------------------------------------------ to lock others out

def test_strangers_who_fail_lock_nobody_out(portal):
    """Not who was right where he is, and no address that is called as the account."""
    account = "192.0.2.1"
    portal.must("user", "-a", "-r", "readonly", "--password-file", portal.folder / "password", account)
    assert ask(portal, "192.0.2.2", user=account) == 200
    for n in range(10):
        assert ask(portal, f"192.0.2.{10 + n}", user=account, password="guess") == 401
    assert ask(portal, "192.0.2.3", user=account) == 429, "who comes from elsewhere has to wait"
    assert ask(portal, "192.0.2.2", user=account) == 200
    assert ask(portal, "192.0.2.1") == 200


def test_keys_are_not_guessed_from_a_whole_network(portal):
    statuses = [ask(portal, f"2001:db8:0:1::{n}", "/admin/api/kcare/register", "POST",
                    {"key": f"guess{n}", "hostname": "h", "machine_id": "m"}, user=None) for n in range(1, 12)]
    assert statuses == [400] * 10 + [429]
    # one limit, whatever is asked with the key
    assert ask(portal, "2001:db8:0:1::99", "/nagios/guess", user=None) == 429
    assert ask(portal, "2001:db8:0:2::1", "/nagios/guess", user=None) == 200


# ---------------------------------------------------------------------------------------------------------- to fill it up

def report(portal, address, **more):
    return ask(portal, address, "/admin/api/kcare/doctor", "POST", {"hostname": "h", "report": "help", **more}, user=None)


def test_large_bodies_do_not_fill_the_memory(portal):
    """Clients that send half of a report, and wait: the next one is told to come later, and gets through when they are gone."""
    addresses = iter(f"192.0.2.{n}" for n in range(50, 200))

    def one_more():
        return ask(portal, next(addresses), "/admin/api/kcare/doctor", "POST", {"hostname": "h", "report": "x" * (300 << 10)}, user=None)

    with contextlib.ExitStack() as clients:
        def one_more_waits():
            """Until they have all places: one that came while a whole report had the last was told to come later."""
            client = clients.enter_context(socket.create_connection(("127.0.0.1", portal.port)))
            with contextlib.suppress(ConnectionError):
                client.sendall(b"POST /admin/api/kcare/doctor HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + b"x" * (300 << 10))
            return one_more() == 503

        lab.wait_until(one_more_waits, 30, "the places are taken")
        assert ask(portal, "192.0.2.40", "/healthz", user=None) == 200
    lab.wait_until(lambda: one_more() == 200, 30, "the places are free again")


def test_reports_of_strangers(portal):
    assert [report(portal, f"2001:db8:0:3::{n}") for n in range(1, 12)] == [200] * 10 + [429]
    # an id that nobody has is no way around it, and keeps nothing
    before = len(list((portal.data / "reports").iterdir()))
    assert report(portal, "192.0.2.30", server_id="aaaaaaaaaaaaaaaa", secret="0" * 64) == 403
    assert len(list((portal.data / "reports").iterdir())) == before
    # of the room they have half: who is registered gets his through when they took theirs
    for n in range(before, 1000):
        (portal.data / f"reports/old{n}.txt").touch()
    assert report(portal, "192.0.2.31") == 429
    host = portal.register(portal.must("key", "-a").out.strip()).json
    assert report(portal, "192.0.2.31", server_id=host["server_id"], secret=host["secret"]) == 200


def test_hosts_that_somebody_makes_up(portal):
    """With a key that has no limit: so many of one network, and no more."""
    key = portal.must("key", "-a").out.strip()

    def register(worker):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", portal.port)) as connection:
            for n in range(100):
                body = json.dumps({"key": key, "hostname": "h", "machine_id": f"{worker}.{n}"})
                connection.request("POST", "/admin/api/kcare/register", body, {"X-Forwarded-For": "192.0.2.42"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, (worker, n)

    with futures.ThreadPoolExecutor() as workers:
        list(workers.map(register, range(10)))
    assert ask(portal, "192.0.2.42", "/admin/api/kcare/register", "POST", {"key": key, "hostname": "h", "machine_id": "m"}, user=None) == 429


# ----------------------------------------------------------------------------------------------- to learn what is not theirs

def test_no_key_is_in_the_log(portal):
    key = portal.must("key", "-a").out.strip()
    for path in ("/nagios/", "/admin/api/kcare/nagios/", "/admin/api/kcare/patchset/"):
        assert ask(portal, "192.0.2.41", path + key, user=None) == 200
    portal.register(key)
    lab.wait_until(lambda: "POST /admin/api/kcare/register 200" in portal.said(), 30, "the log has all of it")
    assert "GET /nagios/* 200" in portal.said() and key not in portal.said()


# --------------------------------------------------------------------------------------------- to have others do it for them

@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
                                     {"Origin": "null"}])
def test_pages_of_other_sites(portal, headers):
    """A browser that knows the password sends it with whatever a page of another site asks it to."""
    body = {"key": "EVIL"}
    for type, text in (("application/json", json.dumps(body)), ("text/plain", json.dumps(body)), ("application/x-www-form-urlencoded", "key=EVIL")):
        answer = portal.call("POST", "/admin/api/keys/", text, headers={"X-Forwarded-For": "192.0.2.43", **headers}, content_type=type)
        assert answer.status == 403 and "another site" in answer.text, answer
    assert "EVIL" not in portal.must("key").out


def test_a_backup_that_somebody_changed(portal, tmp_path):
    """Copied by a tool that knows no modes; then a link is put into what the web server shows."""
    portal.must("backup", tmp_path / "backup")
    copy = shutil.copytree(tmp_path / "backup", tmp_path / "copy", symlinks=True)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    (copy / "repository/public/evil").symlink_to("/etc")
    result = portal.kc("restore", "--data", copy)
    assert result.code != 0 and "leads out of its folder" in result.err, result
    assert not (portal.data / "repository/public/evil").exists()
    (copy / "repository/public/evil").unlink()
    portal.must("restore", "--data", copy)
    private = portal.data / "repository/private"
    for path in [private, *private.glob("keys/*.key")]:
        assert path.stat().st_mode & 0o077 == 0, path
    for path in private.glob("keys/*.key"):
        assert path.stat().st_nlink == 1, "a change of the backup's owner would be one of the portal's"
