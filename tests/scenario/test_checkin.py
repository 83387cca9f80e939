# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host tells its portal, and when; portals that are not well; and both one version apart."""
import json
import os
import subprocess
import time

import pytest

from hosts import box  # noqa: F401 (fixture)
from lab import DONE, NETWORK, NOTHING, REFUSED
from publishing import kernel_patch
from registration import Stranger, check_in, error, good, host, key, servers, systemid  # noqa: F401 (fixtures)


# ------------------------------------------------------------------------------------------------- a portal that is not well

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
                                    lambda path, message: (*error("too-many-requests", 429)(path, message), [("Retry-After", "60")]),
                                    lambda path, message: time.sleep(30), lambda path, message: None,
                                    lambda path, message: (200, b"\xff\xfe garbage")],
                         ids=["busy", "too often", "silent", "closed", "garbage"])
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
