# SPDX-License-Identifier: GPL-2.0-or-later
"""The portal under requests by the thousand: fuzzed ones, and many good ones at a time under ThreadSanitizer.

KCARE_FUZZ_SECONDS is the time for each (120); KCARE_FUZZ_SEED repeats a run, as far as threads can be repeated.
"""
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/scenario"), str(TOP / "tests/api")]

import publishing  # noqa: E402  pylint: disable=wrong-import-position
from api_fuzz import Fuzzer  # noqa: E402  pylint: disable=wrong-import-position
from asking import Api, start  # noqa: E402  pylint: disable=wrong-import-position
from test_long import compiled  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = int(os.environ.get("KCARE_FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("KCARE_FUZZ_SEED") or random.randrange(10**6))


class Crowd:
    """Threads that each do one thing again and again for a time; the first failure ends them all."""

    def __init__(self, seconds):
        self.end, self.problems, self.rounds = time.monotonic() + seconds, [], {}

    def work(self, name, step):
        self.rounds[name] = 0
        try:
            while time.monotonic() < self.end and not self.problems:
                step()
                self.rounds[name] += 1
        except BaseException as problem:  # pylint: disable=broad-exception-caught
            self.problems.append(problem)

    def run(self, steps):
        threads = [threading.Thread(target=self.work, args=(name, step)) for name, step in steps.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.problems:
            raise self.problems[0]
        assert all(self.rounds.values()), f"somebody did nothing: {self.rounds}"


def check_state(api):
    """All that can be listed is well-formed, and is the same when the portal is started again."""
    assert api.must("health", by="nobody") == {"status": "ok"}
    before = api.state()
    count = api.must("listServers", {"only_count": True})["count"]
    assert len(api.servers()) == min(count, 1000)
    problems = [check for check in api.must("doctor")["checks"] if not check["ok"] and "key" not in check["message"]]
    assert not problems, problems
    assert api.portal.stop() == 0, api.portal.said()[-3000:]
    verified = publishing.run(api.portal.build, "kcare-repo", "verify", api.portal.data / "repository")
    assert verified.code == 0, verified
    api.portal.start()
    assert api.state() == before


@pytest.fixture
def dev_folder():
    folder = os.environ.get("KCARE_BUILD_DIR")
    return pathlib.Path(folder).resolve() if folder else TOP / "build/dev"


def test_no_request_harms_it(dev_folder, tmp_path):
    print(f"seed {SEED}")
    portal = start(dev_folder, tmp_path / "portal", CONNECTIONS_PER_ADDRESS=1000)
    try:
        api = Api(portal)
        api.deployed(1)
        api.archive(2)
        fuzzers = [Fuzzer(api, SEED + n) for n in range(4)]
        try:
            Crowd(SECONDS).run({f"fuzzer {n}": fuzzer.step for n, fuzzer in enumerate(fuzzers)})
        except Exception as problem:
            raise AssertionError(f"seed {SEED}: {portal.said()[-3000:]}\n{problem}") from problem
        counts = {}
        for fuzzer in fuzzers:
            for status, n in fuzzer.counts.items():
                counts[status] = counts.get(status, 0) + n
        print(f"{sum(counts.values())} requests: {dict(sorted(counts.items()))}")
        assert {200, 400, 401, 403, 404} <= set(counts), "the requests are all alike"
        check_state(api)
    finally:
        if portal.process.poll() is None:
            assert portal.stop() == 0, portal.said()[-3000:]
    assert "Sanitizer" not in portal.said() and "runtime error" not in portal.said()


# ------------------------------------------------------------------------------------------------------ ThreadSanitizer

class Load:
    """What the threads do; each has a client address of its own."""

    def __init__(self, api, folder):
        self.api, self.folder, self.lock, self.n = api, folder, threading.Lock(), 0
        self.archives = [api.archive(n) for n in range(1, 6)]
        self.keys = [api.new_key() for _ in range(3)]

    def number(self):
        with self.lock:
            self.n += 1
            return self.n

    def host(self):
        """The life of a host."""
        api, n = self.api, self.number()
        here = {"address": f"10.77.{n >> 8 & 255}.{n & 255}"}
        values = {"key": self.keys[n % 3], "hostname": f"host{n % 40}", "machine_id": f"m{n % 40}"}
        made = api.must("agentRegister", values, **here)
        who = {name: made[name] for name in ("server_id", "secret")}
        nonce = made["nonce"]
        for level in range(3):
            answer = api.ask("agentCheckin", who | {"nonce": nonce, "level": level, "kernel_id": publishing.running_kernel_id(),
                                                    "hostname": values["hostname"]}, **here)
            if answer.status in (403, 409):
                return  # another thread was the same machine meanwhile, or the database of before is back
            assert answer.status == 200, answer
            nonce = answer.json["nonce"]
        api.ask("agentLicence", who, **here)
        api.ask("nagios", {"key": values["key"]}, **here)
        if n % 3 == 0:
            api.ask("agentUnregister", who, **here)

    def admin(self):
        api, n = self.api, self.number()
        api.must("putKey", {"key": f"ADMIN{n % 10}", "note": f"note {n}"})
        for server in api.must("listServers", {"limit": 5})["result"][:2]:
            api.ask("setTags", {"server_id": server["id"], "tags": f"tag:{n}"})
        api.must("putUser", {"username": f"user{n % 5}", "description": str(n)})
        api.ask("addApiKey", {"user": f"user{n % 5}", "days": 1})  # a restore may have taken the user
        if n % 7 == 0:
            api.must("deleteUser", {"user": f"user{n % 5}"}) if n % 2 else api.must("deleteKey", {"key": f"ADMIN{n % 10}"})

    def look(self):
        api = self.api
        for name in ("metrics", "health", "listKeys", "listUsers", "listApiKeys", "audit", "doctor", "listFeeds", "listPatchsets"):
            api.ask(name)
        api.ask("listServers", {"format": "csv"})
        api.ask("listServers", {"is_updated": "yes"})
        for path in ("/feeds/main/metadata/timestamp.json", "/", "/root.json", "/feeds/nothing"):
            api.send("GET", path)

    def publish(self):
        api, n = self.api, self.number()
        feed = f"feed{n % 3}"
        api.must("putFeed", {"name": feed, "auto": bool(n % 2)})
        patchset = api.must("deployPatchset", {"feed": feed}, body=self.archives[n % 5])["patchset"]
        api.must("managePatchset", {"patchset": patchset, "feed": [feed], "action": ("disable", "block", "enable")[n % 3]})
        api.ask("autoUpdatePatchsets")
        if n % 4 == 0:
            api.must("deleteFeed", {"feed": feed})

    def back_up(self):
        n = self.number()
        self.api.must("backup", {"path": str(self.folder / f"backup{n}")})
        self.api.must("backupDb", {"path": str(self.folder / f"db{n}")})
        if n % 3 == 0:
            self.api.must("restore", {"path": str(self.folder / f"db{n}"), "what": ["db"]})
        subprocess.run(["rm", "-rf", self.folder / f"backup{n}", self.folder / f"db{n}"], check=True)

    def guess(self):
        self.api.ask("metrics", by={"X-Api-Key": "wrong"}, address=f"10.99.0.{self.number() % 250}")
        time.sleep(0.05)


def tsan_folder():
    if folder := os.environ.get("KCARE_TSAN_DIR"):
        return pathlib.Path(folder)
    return compiled(TOP / "build/tsan", "-Db_sanitize=thread", "-Db_lundef=false")


def test_portal_under_thread_sanitizer(tmp_path, monkeypatch):
    """Hosts, administrators, deploys, backups and restores at the same time; then it ends among them."""
    monkeypatch.setenv("TSAN_OPTIONS", "halt_on_error=0 exitcode=66 second_deadlock_stack=1")
    portal = start(tsan_folder(), tmp_path / "portal", CONNECTIONS_PER_ADDRESS=1000, THREADS=4)
    try:
        load = Load(Api(portal), tmp_path)
        crowd = Crowd(SECONDS)
        crowd.run({"host 1": load.host, "host 2": load.host, "host 3": load.host, "admin": load.admin, "look": load.look,
                   "publish": load.publish, "back up": load.back_up, "guess": load.guess})
        print(crowd.rounds)
    finally:
        portal.process.terminate()
        code = portal.process.wait(120)
    assert "ThreadSanitizer" not in portal.said(), portal.said()[-20000:]
    assert code == 0, portal.said()[-3000:]
