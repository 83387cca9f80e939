# SPDX-License-Identifier: GPL-2.0-or-later
"""A portal that can write no more: its disk is full, shows itself read-only, or it has no descriptors left. Each call has one
clear error, nothing is lost, what can be read is shown, and it goes on by itself when that is over.
"""
import contextlib
import json
import os
import socket
import subprocess

import pytest

import publishing
from conftest import need_root
from lab import DONE, FAILED, NOTHING
from portal import Portal
from publishing import kernel_patch

FIRST, SECOND = "K20261101_01", "K20261102_01"


@pytest.fixture
def portal(build_folder, tmp_path):
    """Its data are on a small disk of their own; FIRST is deployed, one host is registered, SECOND is there to be deployed."""
    need_root("mounting a small disk")
    small = tmp_path / "portal/data"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", small], check=True)
    try:
        with Portal(build_folder, tmp_path / "portal") as made:
            made.must("kcare", "deploy", made.archive(FIRST, [kernel_patch(1)]))
            made.second = made.archive(SECOND, [kernel_patch(2)], size=300_000)
            made.key = made.must("key", "-a").out.strip()
            made.host = made.make_host(tmp_path / "host")
            assert made.host.kcarectl("--register", made.key).code == DONE
            yield made
        verified = publishing.run(build_folder, "kcare-repo", "verify", made.data / "repository")
        assert verified.code == DONE and "all good" in verified.out, verified
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def fill(path):
    """Until nothing fits any more."""
    with path.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * size)


def check_in(portal):
    """What kcarectl says to the portal."""
    identity = dict(line.split("=", 1) for line in (portal.host.etc / "systemid").read_text().splitlines())
    state = json.loads((portal.host.cache / "portal.json").read_text())["answer"]
    message = {"server_id": identity["server_id"], "secret": identity["secret"], "nonce": state["nonce"], "hostname": "host"}
    return portal.call("POST", "/admin/api/kcare/checkin", message, user=None)


def state(portal):
    return portal.must("server", "--csv").out, portal.must("key").out, portal.must("kcare", "list").out, portal.must("feed").out


def assert_it_shows(portal):
    """What needs no disk is done all the same."""
    assert portal.call("GET", "/healthz", user=None).status == 200
    shown = portal.host.kcarectl("--check")
    assert shown.code == DONE and FIRST in shown.out, shown


def refused(result, *texts):
    assert result.code == FAILED and len(result.err.splitlines()) == 1, result
    assert any(text in result.err for text in texts), result


def test_a_full_disk(portal, tmp_path):
    before = state(portal)
    filler = portal.data / "filler"
    fill(filler)
    for words in (["kcare", "deploy", portal.second], ["kcare", "block", FIRST], ["key", "-a"], ["feed", "-a", "new"],
                  ["backup", portal.data / "backup"], ["backup-db", portal.data / "backup.db"]):
        refused(portal.kc(*words), "no-space: ")
    answer = check_in(portal)
    assert answer.status == 507 and answer.json["error"] == "no-space", answer
    assert portal.register(portal.key, "other", "other").status == 507
    assert_it_shows(portal)
    assert state(portal) == before
    leftovers = [path.name for path in portal.data.iterdir() if "backup" in path.name] + os.listdir(portal.data / "upload")
    assert not leftovers
    filler.unlink()
    goes_on(portal, tmp_path)


def goes_on(portal, tmp_path):
    portal.host.configure(PATCH_SERVER=portal.url)
    assert check_in(portal).status == 200
    assert portal.register(portal.key, "other", "other").status == 200
    assert portal.kc("kcare", "deploy", portal.second).code in (DONE, NOTHING)
    portal.must("backup", tmp_path / "backup")
    assert SECOND in portal.host.kcarectl("--check").out


def test_a_full_disk_at_the_start(portal):
    before = state(portal)
    assert portal.stop() == 0
    filler = portal.data / "filler"
    fill(filler)
    done = publishing.run(portal.build, "eportald", "--foreground", "--data", portal.data)
    assert done.code == FAILED and "no-space: " in done.err.splitlines()[-1], done
    filler.unlink()
    portal.start()
    assert state(portal) == before


def test_a_log_that_is_full(portal, tmp_path):
    assert portal.stop() == 0
    small = tmp_path / "log"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", small], check=True)
    try:
        (portal.folder / "log").unlink()
        (portal.folder / "log").symlink_to(small / "log")
        portal.start()
        fill(small / "filler")
        for _ in range(3):
            assert portal.call("GET", "/healthz", user=None).status == 200
        portal.must("kcare", "deploy", portal.second)
        assert portal.stop() == 0
    finally:
        subprocess.run(["umount", "-l", small], check=True)
        (portal.folder / "log").unlink()
        portal.start()


def test_a_disk_that_became_read_only(portal, tmp_path):
    before = state(portal)
    subprocess.run(["mount", "--bind", portal.data, portal.data], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", portal.data], check=True)
        for words in (["kcare", "deploy", portal.second], ["kcare", "block", FIRST], ["feed", "-a", "new"],
                      ["backup", portal.data / "backup"]):
            refused(portal.kc(*words), "Read-only file system")
        assert_it_shows(portal)
        assert check_in(portal).status == 200, "the database was open before"
        assert portal.stop() == 0
        done = publishing.run(portal.build, "eportald", "--foreground", "--data", portal.data)
        assert done.code == FAILED and "Read-only file system" in done.err.splitlines()[-1], done
    finally:
        subprocess.run(["umount", "-l", portal.data], check=True)
    portal.start()
    assert state(portal)[1:] == before[1:]
    goes_on(portal, tmp_path)


def test_no_descriptors_left(portal, tmp_path):
    assert portal.stop() == 0
    portal.prefix = ["prlimit", "--nofile=260:260"]
    portal.start()
    before = state(portal)
    assert "CONNECTIONS is 20: there are 260 file descriptors" in portal.said()
    idle = [socket.create_connection(("127.0.0.1", portal.port)) for _ in range(400)]
    # through the socket the operator gets in, and what he asks for has descriptors
    assert state(portal) == before
    portal.must("kcare", "deploy", portal.second)
    for connection in idle:
        connection.close()
    goes_on(portal, tmp_path)
