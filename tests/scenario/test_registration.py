# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts and their portal: registering, checking in, copies of hosts, keys with terms, reports."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from lab import DONE, INPUT, NETWORK, NOTHING, USAGE
from publishing import kernel_patch
from registration import Stranger, a_host, check_in, host, key, servers, systemid  # noqa: F401 (fixtures)

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"


# ------------------------------------------------------------------------------------------------------------ registering

@pytest.mark.parametrize("arguments", [["--register"], ["--register", ""], ["--register-autoretry"], ["--tag"],
                                       ["--register-autoretry", "--info"], ["--register", "K", "--unregister"]])
def test_what_does_not_go_together(host, arguments):
    result = host.kcarectl(*arguments)
    assert result.code == USAGE and len(result.err.splitlines()) == 1, result


def test_an_update_run_needs_one_connection(key, host):
    assert host.kcarectl("--register", key).code == DONE
    result = host.kcarectl("-vv", "--auto-update")
    assert result.code == NOTHING and result.err.count("started ") == 1, result


def test_without_a_portal(host):
    host.configure(PATCH_SERVER=None)
    result = host.kcarectl("--register", "KEY")
    assert result.code == INPUT and "bad-config: no portal is configured" in result.err, result


def test_a_host_registers(portal, key, host):
    result = host.kcarectl("--register", key)
    assert result.code == DONE and result.out == "Server Registered\n", result
    identity = systemid(host)
    assert (host.etc / "systemid").stat().st_mode & 0o777 == 0o600
    assert identity["server_id"][0].isalpha() and len(identity["server_id"]) == 16
    listed = servers(portal)[identity["server_id"]]
    # it has checked in at once
    assert listed["checkin"] and listed["kernel_id"] and listed["distro"] == "debian" and listed["patch_level"] == 0
    assert not result.err, "within one machine nobody listens"
    info = host.kcarectl("--license-info")
    assert info.code == DONE and f"Key: {key}" in info.out and "Servers: 1 of 2" in info.out and "Feed: main" in info.out, info
    result = host.kcarectl("--unregister")
    assert result.code == DONE and result.out == "Server Unregistered\n", result
    assert not servers(portal) and not (host.etc / "systemid").exists()
    for option in ("--unregister", "--license-info"):
        result = host.kcarectl(option)
        assert result.code == 3 and "not-registered: " in result.err and "--register KEY" in result.err, result


def test_the_list_tells_how_many_processes_are_patched(portal, key):
    host = portal.register(key).json
    said = portal.call("POST", "/admin/api/kcare/checkin", {"server_id": host["server_id"], "secret": host["secret"], "nonce": host["nonce"],
                                                            "event": "periodic", "n_processes": 3, "n_patched": 1}, user=None)
    assert said.status == 200, said
    head, row = portal.must("server", "list").out.splitlines()
    assert row[head.index("PROCESSES"):].split()[0] == "1/3", row


def test_a_key_that_travels_unencrypted_is_warned_of(portal, key, host):
    host.configure(REGISTRATION_URL=f"http://0.0.0.0:{portal.port}/admin/api/kcare")  # not an address of this machine by its looks
    result = host.kcarectl("--register", key)
    assert result.code == DONE and len(result.err.splitlines()) == 1, result
    assert f"unencrypted to http://0.0.0.0:{portal.port}" in result.err and "https://" in result.err, result


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


def test_it_tries_again_until_the_portal_is_there(portal, key, host):
    port = portal.port
    portal.stop()
    program = host.build / "src/cmd/kcarectl"
    with subprocess.Popen([program, "--register", key, "--register-autoretry"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, KCARE_ROOT=str(host.root)), text=True) as trying:
        first = trying.stderr.readline()
        assert "trying again in 5 s: " in first and "Failed to connect" in first, first
        assert trying.poll() is None
        portal.start(f"127.0.0.1:{port}")
        assert trying.wait(60) == DONE and trying.stdout.read() == "Server Registered\n"
    assert list(servers(portal)) == [systemid(host)["server_id"]]


def test_another_key_leaves_the_one_of_before(portal, key, host):
    other = portal.must("key", "-a").out.strip()
    host.kcarectl("--register", key)
    result = host.kcarectl("--register", other)
    assert result.code == DONE and not result.err, result
    listed = servers(portal)
    assert list(listed) == [systemid(host)["server_id"]] and listed[systemid(host)["server_id"]]["key"] == other


def test_unregistering_does_not_wait_for_long(portal, key, host):
    """A package that is removed calls it."""
    host.kcarectl("--register", key)
    with Stranger(lambda path, message: time.sleep(30)) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = host.kcarectl("--unregister")
        assert result.code == NETWORK and result.seconds < 15 and len(stranger.said) == 1, result
    assert (host.etc / "systemid").exists(), "it is still registered"


def test_a_package_that_is_removed_unregisters(portal, key, host):
    """Not one that is upgraded; and it goes all the same where there is nothing to unregister."""
    def prerm(*arguments):
        program = host.build / "src/cmd"
        environment = dict(os.environ, KCARE_ROOT=str(host.root), PATH=f"{program}:{os.environ['PATH']}")
        return subprocess.run(["sh", PACKAGING / "kcare.prerm", *arguments], env=environment, check=False, capture_output=True, timeout=60)

    host.kcarectl("--register", key)
    for arguments in (["upgrade", "0.2"], ["failed-upgrade", "0.1"], ["1"]):  # the last: an RPM that is upgraded
        assert prerm(*arguments).returncode == 0 and servers(portal), arguments
    for _ in range(2):
        assert prerm("remove").returncode == 0 and not servers(portal)
    assert not (host.etc / "systemid").exists()


def test_the_same_machine_again(portal, key, host):
    host.kcarectl("--register", key)
    first = systemid(host)["server_id"]
    (host.etc / "systemid").unlink()
    assert host.kcarectl("--register", key).code == DONE
    assert list(servers(portal)) == [systemid(host)["server_id"]] != [first]


def test_a_damaged_identity(portal, key, host):
    host.kcarectl("--register", key)
    path = host.etc / "systemid"
    path.write_text(path.read_text().replace("secret=", "secret=x") + "former_id=x\n")
    result = host.kcarectl("--license-info")
    assert result.code == 6 and "register this host again" in result.err, result
    result = host.kcarectl("--register", key)
    assert result.code == DONE and not result.err, result
    assert "former" not in path.read_text() and list(servers(portal)) == [systemid(host)["server_id"]]


# ------------------------------------------------------------------------------------------------------------ checking in

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


def test_a_copy_that_made_its_own_machine_id(portal, key, host, tmp_path):
    """It is noticed before the portal is asked: its first check-in is its own."""
    host.kcarectl("--register", key)
    original = systemid(host)["server_id"]
    portal.must("server", "tag", original, "rack:7")
    copy = a_host(portal, tmp_path, "copy")
    machine_id = (copy.root / "etc/machine-id").read_text()
    shutil.rmtree(copy.root)
    shutil.copytree(host.root, copy.root)
    (copy.root / "etc/machine-id").write_text(machine_id)
    check_in(copy)
    check_in(host)
    assert systemid(host)["server_id"] == original != systemid(copy)["server_id"]
    listed = servers(portal)
    assert set(listed) == {original, systemid(copy)["server_id"]} and listed[original]["tags"] == "rack:7"


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
    portal.must("kcare", "deploy", "--feed", "test", portal.archive("K20261101_01", [kernel_patch(1)]))
    portal.must("key", "-c", "--feed", "test", key)
    assert host.kcarectl("--check").code == 1, "main has nothing"
    host.kcarectl("--register", key)
    assert servers(portal)[systemid(host)["server_id"]]["feed"] == "test"
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
    # somebody who asks gets the date as it is now, and so does a timer
    portal.must("key", "-c", "--sticky", "2026-11-10", key)
    result = host.kcarectl("--update", "-v")
    assert "Downloading" not in result.out or "level 1" in host.kcarectl("--check").out, result
    assert json.loads((host.cache / "portal.json").read_text())["answer"]["terms"]["sticky"] == "2026-11-10"
    portal.must("key", "-c", "--sticky", "yesterday", key)
    check_in(host)
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
