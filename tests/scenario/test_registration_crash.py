# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl is killed while it speaks with its portal, one run for each point: before every system call that changes what
files there are, which is all that can make a difference afterwards. Behind each: the agent's files are whole; the next run
works, and removes what was begun; and the portal has this host once, under the id that it had. --long takes every system call.
"""
import concurrent.futures
import json
import re
import shutil
import threading

import pytest

import lab
from lab import DONE, NOTHING
from portal import Portal
from registration import a_host, systemid

KILLED = 137
WORKERS = 2
SHOTS = 10  # with one server id: it is heard 60 times within five minutes
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # it cannot look for them while the program is traced


@pytest.fixture(scope="module")
def portal(build_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crash")
    lab.call(["gcc", "-O2", "-D_GNU_SOURCE", str(lab.TARGETS / "kill_at.c"), "-o", str(folder / "kill_at")], folder)
    with Portal(build_folder, folder / "portal") as made:
        made.kill_at = folder / "kill_at"
        yield made


class Shooter:
    """One host, and a key with place for it alone. What is killed at some point, and what comes before and behind, is of
    those below."""

    places = 1
    kills = 1  # in a row
    writes_identity = True

    def __init__(self, portal, folder, name):
        self.portal, self.folder = portal, folder
        self.n_shots = self.n_begun = 0
        self.key = portal.must("key", "-a", "--server-limit", str(self.places)).out.strip()
        self.host = a_host(portal, folder, name)

    def begin(self):
        """Before the first shot of SHOTS."""

    def arrange(self):
        """Before each shot."""

    def settle(self, when):
        """Behind it: the next run, and what must be so then."""
        raise NotImplementedError

    def must(self, *args, codes=(DONE,), host=None):
        result = (host or self.host).kcarectl(*args)
        assert result.code in codes, result
        return result

    def listed(self, key=None):
        answer = self.portal.call("GET", f"/admin/api/servers?key={key or self.key}")
        return {server["id"]: server for server in answer.json["result"]}

    def remove(self, *ids):
        for server_id in ids:
            self.portal.call("POST", "/admin/api/delete_server", {"server_id": server_id})

    def forget(self):
        """As if it had never registered."""
        self.remove(*self.listed())
        for path in (self.host.etc / "systemid", self.host.cache / "portal.json"):
            path.unlink(missing_ok=True)

    def shoot(self, mode, number):
        """False: the run came to its end before this number."""
        if self.n_shots % SHOTS == 0:
            self.begin()
        self.n_shots += 1
        self.arrange()
        when = f"{self.command} killed at {mode} {number}"
        for _ in range(self.kills):
            killed = self.host.kcarectl(*self.command, prefix=[self.portal.kill_at, mode, str(number)], env=NO_LEAKS)
        assert killed.code in (KILLED, DONE, NOTHING), f"{when}: {killed}"
        self.check_files(when)
        self.n_begun += bool(self.begun())
        self.settle(when)
        assert not self.begun(), f"{when}: a secret lies about"
        return killed.code == KILLED

    def begun(self):
        """What a run that was killed left of its identity."""
        return list(self.host.etc.glob("systemid?*"))

    def check_files(self, when):
        """Each is whole, or not there."""
        identity, answer = self.host.etc / "systemid", self.host.cache / "portal.json"
        if identity.exists():
            assert re.fullmatch(r"server_id=\w{16}\nkey=\w+\nsecret=[0-9a-f]{64}\n(\w+=\w+\n)+", identity.read_text()), when
        if answer.exists():
            assert json.loads(answer.read_text())["document"] == "kcare-portal-1", when

    def check_in(self, host=None):
        result = self.must("--auto-update", codes=(DONE, NOTHING), host=host)
        assert "portal" not in result.err, result


class Registers(Shooter):
    @property
    def command(self):
        return ["--register", self.key]

    def arrange(self):
        self.forget()

    def settle(self, when):
        self.must(*self.command)
        assert list(self.listed()) == [systemid(self.host)["server_id"]], when


class ChangesItsKey(Registers):
    """From one key to another."""

    def begin(self):
        self.before = self.portal.must("key", "-a", "--server-limit", "1").out.strip()

    def arrange(self):
        self.forget()
        self.must("--register", self.before)

    def settle(self, when):
        super().settle(when)
        assert not self.listed(self.before), f"{when}: it is listed with its old key, too"


class ChecksIn(Shooter):
    command = ["--auto-update"]
    writes_identity = False

    def begin(self):
        self.must("--register", self.key)
        self.before = systemid(self.host)

    def settle(self, when):
        self.check_in()
        assert systemid(self.host) == self.before and list(self.listed()) == [self.before["server_id"]], when


class ChecksInInVain(ChecksIn):
    """Where the portal has answered, the nonce that the host has is over twice: that makes it no copy of itself."""

    kills = 2


class ChecksInAsACopy(Shooter):
    """Of a host that has gone on: it registers with an instance of its own."""

    command = ["--auto-update"]
    places = 2

    def begin(self):
        self.forget()
        self.must("--register", self.key)
        self.original = a_host(self.portal, self.folder, f"original{self.n_shots}")
        shutil.rmtree(self.original.root)
        shutil.copytree(self.host.root, self.original.root)
        self.before = self.files(self.host)
        for _ in range(2):
            self.check_in(self.original)

    @staticmethod
    def files(host):
        return {path: path.read_bytes() for path in (host.etc / "systemid", host.cache / "portal.json")}

    def arrange(self):
        self.remove(*set(self.listed()) - {systemid(self.original)["server_id"]})
        for path, content in self.before.items():
            path.write_bytes(content)

    def settle(self, when):
        self.check_in()
        ids = {systemid(host)["server_id"] for host in (self.original, self.host)}
        assert len(ids) == 2 and set(self.listed()) == ids, f"{when}: {self.listed()}"
        self.check_in(self.original)
        assert set(self.listed()) == ids, f"{when}: the original was taken for the copy"


class Unregisters(Shooter):
    command = ["--unregister"]
    writes_identity = False

    def arrange(self):
        self.must("--register", self.key)

    def settle(self, when):
        self.must("--unregister", codes=(DONE, NOTHING))
        assert not self.listed(), when
        assert not (self.host.etc / "systemid").exists() and not (self.host.cache / "portal.json").exists(), when


class Series:
    """Which points are still to be tried, shared by the workers."""

    def __init__(self):
        self.lock, self.next, self.over, self.n_killed = threading.Lock(), 1, False, 0

    def work(self, shooter, mode):
        while not self.over:
            with self.lock:
                number, self.next = self.next, self.next + 1
            killed = shooter.shoot(mode, number)
            with self.lock:
                self.n_killed += killed
                self.over |= not killed


@pytest.mark.parametrize("kind", [Registers, ChangesItsKey, ChecksIn, ChecksInInVain, ChecksInAsACopy, Unregisters])
def test_killed_at_every_change_of_a_file(portal, tmp_path, kind, long):
    shooters = [kind(portal, tmp_path / str(n), f"{kind.__name__[:8]}{n}") for n in range(WORKERS)]
    series = Series()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(series.work, shooter, "-r" if long else "-n") for shooter in shooters]:
            done.result()
    assert any(shooter.n_begun for shooter in shooters) == kind.writes_identity, "it was not killed while it wrote"
    assert series.n_killed >= 2, f"only {series.n_killed} points"
    print(f"{kind.__name__}: killed {series.n_killed} times")
