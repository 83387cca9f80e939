# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts and their portal: registering, checking in, copies of hosts, keys with terms; and a portal that is not well."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest

from hosts import box  # noqa: F401 (fixture)
from lab import DONE, INPUT, NETWORK, NOTHING, REFUSED, USAGE
from portal import Portal
from publishing import kernel_patch
from test_eportald import make_host

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"


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


# ------------------------------------------------------------------------------------------------- a portal that is not well

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


@pytest.mark.parametrize("status, body, code, says", [
    (200, b"", 8, "are REGISTRATION_URL or PATCH_SERVER in kcare.conf right?"),
    (200, b"{}", 8, "server_id: missing"),
    (200, b'{"server_id": 5}', 8, "server_id: must be a text"),
    (200, b"<html>It works!</html>", 8, "not JSON"),
    (200, b"x" * 70000, 6, "over-limit"),
    (404, b"not here", 8, "is its URL right?"),
    (400, b'{"error":"invalid-key","message":"no"}', 5, "invalid-key: no"),
    (400, b'{"error":"from-the-future","message":"what"}', 8, "from-the-future"),
    (500, b'{"error":"database","message":"it failed"}', 1, "it failed"),
    (507, b'{"error":"no-space","message":"disk full"}', 1, "disk full"),
])
def test_strange_answers(portal, host, status, body, code, says):
    with Stranger(lambda path, message: (status, body)) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = host.kcarectl("--register", "KEY")
        assert result.code == code and says in result.err and len(result.err.splitlines()) == 1, result
    assert not (host.etc / "systemid").exists()


# --------------------------------------------------------------------------------------------------------- one version apart

FUTURE = {"future": {"a": [1, {"b": None}]}, "more": "text", "count": 1 << 40, "flag": True, "nothing": None}
LEAST = {"register": {"server_id": "A" * 16, "secret": "0" * 64, "nonce": "1" * 32}, "checkin": {"nonce": "2" * 32}, "licence": {},
         "doctor": {"key": "REPORT"}, "unregister": {}}
MOST = {path: {**answer, **FUTURE, "terms": {"feed": "main", "has_windows": True, **FUTURE}} for path, answer in LEAST.items()}


@pytest.mark.parametrize("answers", [LEAST, MOST], ids=["before", "to come"])
def test_a_portal_one_version_apart(portal, host, answers):
    """It says no more than it must, or things that nobody knows yet."""
    with Stranger(lambda path, message: (200, json.dumps(answers[path]).encode())) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        for arguments in (["--register", "KEY"], ["--license-info"], ["--doctor"], ["--unregister"]):
            result = host.kcarectl(*arguments)
            assert result.code == DONE and not result.err, result
        assert [path for path, _ in stranger.said] == ["register", "checkin", "licence", "doctor", "unregister"]


@pytest.mark.parametrize("more", [{}, FUTURE], ids=["before", "to come"])
def test_an_agent_one_version_apart(portal, key, more):
    def ask(path, message):
        answer = portal.call("POST", f"/admin/api/kcare/{path}", {**message, **more}, user=None)
        assert answer.status == 200, (path, answer)
        return answer.json

    registered = ask("register", {"key": key, "hostname": "apart", "machine_id": "m"})
    who = {name: registered[name] for name in ("server_id", "secret")}
    ask("checkin", {**who, "nonce": registered["nonce"], **({"event": "from-the-future"} if more else {})})
    listed = servers(portal)[who["server_id"]]
    assert listed["hostname"] == "apart" and listed["checkin"] and listed["status"] == "unsupported", listed
    assert "apart" in portal.must("server", "--csv").out
    assert ask("licence", who)["key"] == key
    assert ask("doctor", {**who, "report": "text"})["key"]
    ask("unregister", who)
    assert not servers(portal)


@pytest.mark.parametrize("is_newer", [False, True], ids=["before", "to come"])
def test_files_of_an_agent_one_version_apart(portal, key, host, is_newer):
    """After an update of the agent, or a way back, the host is the one that it was."""
    host.kcarectl("--register", key)
    identity, path = host.etc / "systemid", host.cache / "portal.json"
    state = json.loads(path.read_text())
    if is_newer:
        identity.write_text(identity.read_text() + "future=1\n")
        state |= {**FUTURE, "answer": {**state["answer"], **FUTURE}}
    else:
        del state["server_id"]  # not known to the first version
    path.write_text(json.dumps(state))
    before = identity.read_text()
    assert check_in(host).code == NOTHING
    assert identity.read_text() == before and list(servers(portal)) == [systemid(host)["server_id"]]
    assert json.loads(path.read_text())["answer"]["nonce"] != state["answer"]["nonce"], "it has not checked in"


# ------------------------------------------------------------------------------------------------- what is told, and when

@pytest.fixture
def followed(portal, host):
    """A host whose check-ins go to a stand-in; its patches come from the portal. Yields (host, stranger)."""
    with Stranger(good) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        assert host.kcarectl("--register", "KEY").code == DONE
        stranger.said = []
        yield host, stranger


def test_what_is_told_and_when(portal, followed):
    host, stranger = followed
    assert host.kcarectl("--auto-update").code == NOTHING  # no patch for this kernel: that is well
    (event, message), = stranger.events()
    assert event == "periodic" and "last_error" not in message
    assert message["server_id"] == "A" * 16 and message["release"] == os.uname().release and message["feed"] == "main"
    assert message["distro"] and message["machine"] == "x86_64" and message["uptime_s"] > 0 and message["libcare_is_enabled"]
    host.configure(AUTO_UPDATE="NO")
    assert host.kcarectl("--auto-update").code == DONE
    assert [event for event, _ in stranger.events()] == ["periodic"], "it is alive"
    host.configure(AUTO_UPDATE=None)
    # a patch that no kernel takes: before it is tried, and when it failed
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
    failed = host.kcarectl("--auto-update")
    assert failed.code == REFUSED
    (before, _), (after, message) = stranger.events()
    assert (before, after) == ("before", "failed") and message["last_error"] in failed.err
    # who asks gets the terms as they are now
    assert host.kcarectl("--update").code == REFUSED
    assert [event for event, _ in stranger.events()] == ["periodic", "before", "failed"]
    # looking is nobody's business
    for option in ("--check", "--status", "--info"):
        host.kcarectl(option)
    assert not stranger.events()
    # the boot does not wait for anybody before it patches
    assert host.kcarectl("--smart-update").code == REFUSED
    assert [event for event, _ in stranger.events()] == ["failed"]
    host.configure(UPDATE_POLICY="LOCAL")
    assert host.kcarectl("--smart-update").code == REFUSED
    assert not stranger.events()
    # what is known goes with whatever is told next
    host.kcarectl("--tag", "env:prod")
    (event, message), = stranger.events()
    assert (event, message["tags"]) == ("periodic", "env:prod") and message["last_error"] in failed.err
    host.kcarectl("--unload")
    assert not stranger.events(), "there was nothing to unload"


def test_runs_for_processes(portal, followed, box):
    """In a box: what runs here otherwise is nobody's business."""
    host, stranger = followed
    result = host.kcarectl("--userspace-update", "--auto", prefix=box.enter)
    assert result.code == DONE, result
    (event, message), = stranger.events()
    assert event == "periodic" and "last_error" not in message
    port = portal.port
    portal.stop()
    failed = host.kcarectl("--userspace-update", "--auto", prefix=box.enter)
    assert failed.code == NETWORK, failed
    (event, message), = stranger.events()
    assert event == "failed" and message["last_error"].startswith("network: ")
    # a run of the other kind does not make it forgotten
    portal.start(f"127.0.0.1:{port}")
    assert host.kcarectl("--auto-update").code == NOTHING
    (event, message), = stranger.events()
    assert event == "periodic" and message["last_error"].startswith("network: ")
    host.kcarectl("--disable-libcare")
    assert host.kcarectl("--userspace-update", "--auto").code == DONE
    (event, message), = stranger.events()
    assert event == "periodic" and "libcare_is_enabled" not in message


SOON = """#define _GNU_SOURCE
#include <time.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *pause, struct timespec *left)
{
	(void)clock; (void)flags; (void)left;
	return pause->tv_sec == 60 || pause->tv_sec == 240 || pause->tv_sec == 600 ? 0 : 22;
}
"""


def test_it_is_alive_later(followed, tmp_path):
    host, stranger = followed
    (tmp_path / "soon.c").write_text(SOON)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "soon.so", tmp_path / "soon.c"], check=True)
    result = host.kcarectl("--check-in-later", env={"LD_PRELOAD": str(tmp_path / "soon.so"),
                                                    "ASAN_OPTIONS": "verify_asan_link_order=0"})
    assert result.code == DONE, result
    assert [event for event, _ in stranger.events()] == ["later"] * 3


@pytest.mark.parametrize("name", ["cloned-server", "unknown-server"])
def test_a_portal_that_never_knows_us(portal, host, name):
    """Once in a run, not for ever."""
    forgetful = error(name, 409)
    with Stranger(lambda path, message: (good if path == "register" else forgetful)(path, message)) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        assert host.kcarectl("--register", "KEY").code == DONE
        stranger.said = []
        result = host.kcarectl("--auto-update")
        assert result.code == NOTHING and f"warning: the portal was not told: because of {name}" in result.err, result
        assert [path for path, _ in stranger.said] == ["checkin", "register", "checkin"]


def test_a_key_that_is_over(portal, host):
    with Stranger(lambda path, message: error("key-ended", 403)(path, message) if path == "register" and stranger.over
                  else good(path, message)) as stranger:
        stranger.over = False
        host.configure(REGISTRATION_URL=stranger.url)
        assert host.kcarectl("--register", "KEY").code == DONE
        before = systemid(host)
        (host.cache / "portal.json").unlink()
        stranger.over = True
        result = host.kcarectl("--auto-update")
        assert result.code == NOTHING and "because of key-ended" in result.err, result
        assert systemid(host) == before, "it keeps what it has"


@pytest.mark.parametrize("answer", [lambda path, message: (503, b"{}", [("Retry-After", "100")]),
                                    lambda path, message: time.sleep(30), lambda path, message: None,
                                    lambda path, message: (200, b"\xff\xfe garbage")],
                         ids=["busy", "silent", "closed", "garbage"])
def test_a_portal_that_is_not_well_stops_nothing(portal, followed, answer):
    host, stranger = followed
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
    with Stranger(answer) as other:
        host.configure(REGISTRATION_URL=other.url)
        result = host.kcarectl("--update")
        assert result.code == REFUSED and "Downloading" in result.out, result
        assert "portal" not in result.err and result.seconds < 15, result
        assert len(other.said) == 1, "once in a run is enough"
        verbose = host.kcarectl("--auto-update", "-v")
        assert verbose.code == REFUSED and "the portal was not told" in verbose.err, verbose
    host.configure(REGISTRATION_URL=stranger.url)
    host.kcarectl("--auto-update")
    assert [event for event, _ in stranger.events()] == ["before", "failed"]


def test_what_a_hostile_portal_says_is_plain(portal, host):
    hostile = "\x1b[2J\u202e"
    with Stranger(lambda path, message: (200, json.dumps({"key": f"abc{hostile}\ndef"}).encode())) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = host.kcarectl("--doctor")
        assert result.code == DONE and "Key: abc?[2J??def\n" in result.out, result
    with Stranger(error(hostile)) as stranger:
        host.configure(REGISTRATION_URL=stranger.url)
        result = host.kcarectl("--register", "KEY")
        assert result.code == NETWORK and "\x1b" not in result.err and len(result.err.splitlines()) == 1, result
