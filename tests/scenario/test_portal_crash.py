# SPDX-License-Identifier: GPL-2.0-or-later
"""eportald is killed before system calls that change a file or its content, one run for each, in a fresh copy of a portal.
Behind each: the database is whole, hosts see what was before or what shall be, whatever was answered as done is there, and
the same call, made again, completes it. A few points of each call; --long takes all of them.
"""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import shutil
import sqlite3
from dataclasses import dataclass

import pytest

import lab
import publishing
from lab import DONE, INPUT, NETWORK, NOTHING, children_of
from portal import Portal, SocketConnection, copies_of_server
from publishing import clock, kernel_patch
from test_repository import K1, K2, metadata, shown

FIRST, SECOND, THIRD = "K20261101_01", "K20261102_01", "K20261103_01"
WORKERS, POINTS = 2, 4
NEVER = 10**9


class Victim(Portal):
    """A copy of a portal that may be started under the knife."""

    def __init__(self, template, folder):  # pylint: disable=super-init-not-called
        self.__dict__.update(template.__dict__)
        self.template, self.folder, self.data = template, folder, folder / "data"
        self.repository, self.public = self.data / "repository", self.data / "repository/public"
        self.armed, self.number = folder / "armed", NEVER
        folder.mkdir()
        shutil.copytree(template.data, self.data, symlinks=True)

    def start_killed_at(self, number):
        """Before the change of that number from now on."""
        self.prefix = self.knife(number)
        self.start()
        self.settle()
        self.armed.touch()

    def start_again(self):
        self.prefix = []
        self.start()
        self.settle()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.end()

    def knife(self, number):
        self.number = number
        return [self.template.folder / "kill_at", "-d", "-a", self.armed, str(number)]

    def settle(self):
        """Waits until the publisher has done what it does at the start: a change that changes nothing stands behind it."""
        assert self.ask("POST", "/admin/api/feeds/", {"name": "main"})["result"]["name"] == "main"

    def end(self):
        """Ends it at once, if it was not killed already. True: it was."""
        daemon = children_of(self.process.pid) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait(60)
        lab.wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in daemon), 60, "eportald is gone")
        return self.n_changes() >= self.number

    def n_changes(self):
        return self.armed.stat().st_size if self.armed.exists() else 0

    # ----------------------------------------------------------------------------------------------------- what there is

    def ask(self, method, path, body=None):
        connection = SocketConnection(self.data / "socket")
        connection.request(method, path, body=json.dumps(body) if body else None, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200, (path, answer.status, text)
        return json.loads(text)

    def get(self, path):
        return self.ask("GET", path)["result"]

    def feeds(self):
        return sorted(path.parent.parent.name for path in self.public.glob("feeds/*/metadata/timestamp.json"))

    def seen(self):
        """What hosts see: by feed and kernel."""
        return {feed: (shown(self, K1, feed), shown(self, K2, feed)) for feed in self.feeds()}

    def versions(self):
        return {feed: metadata(self, feed, "timestamp.json")["version"] for feed in self.feeds()}

    def state(self):
        """What hosts see, and what the operator does."""
        rows = {feed: [(row["patchset"], row["status"]) for row in
                       self.get(f"/admin/api/patchsets/?feed={feed}&product=kernel")] for feed in self.feeds()}
        keys = sorted((key["key"], key["feed"]) for key in self.get("/admin/api/keys/"))
        servers = sorted(server["id"] for server in self.get("/admin/api/servers?limit=100"))
        return self.seen(), rows, keys, servers

    def check(self, when):
        """Of a portal that does not run: files and database as it left them."""
        verified = publishing.run(self.build, "kcare-repo", "verify", self.repository, env=self.environment)
        assert verified.code == DONE and "all good" in verified.out, f"{when}: {verified}"
        aside = self.folder / "aside"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in ("portal.db", "portal.db-wal"):
            if (self.data / name).exists():
                shutil.copy(self.data / name, aside)
        database = sqlite3.connect(aside / "portal.db")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], when
        self.check_database(database, when)
        database.close()

    def check_database(self, database, when):
        """Beside what each has to be."""

    def leftovers(self):
        found = [*self.repository.glob("private/incoming-*"), *self.repository.glob("private/removed-*"),
                 *self.repository.glob("private/unpublished/*"), *self.data.glob("upload/*"), *self.data.glob("*.restored"),
                 *self.data.glob("*.before"), *self.data.glob("portal.db-restore*")]
        return [path.name for path in found]


@pytest.fixture(scope="module")
def template(build_folder, tmp_path_factory):
    """FIRST is in main and old, THIRD in main; a key follows old; a host is registered; the backup is older than THIRD."""
    folder = tmp_path_factory.mktemp("portal-crash")
    lab.call(["gcc", "-O2", "-D_GNU_SOURCE", str(lab.TARGETS / "kill_at.c"), "-o", str(folder / "kill_at")], folder)
    with Portal(build_folder, folder) as made:
        made.clock = clock(folder)
        made.archive(SECOND, [kernel_patch(2, K2)])
        made.must("feed", "-a", "old")
        made.must("feed", "-a", "new")
        made.must("kcare", "deploy", made.archive(FIRST, [kernel_patch(1, K1), kernel_patch(1, K2)]))
        made.must("kcare", "enable", FIRST, "--feed", "old")
        made.key = made.must("key", "-a", "--feed", "old").out.strip()
        assert made.register(made.key, "first").status == 200
        made.must("backup", folder / "backup")
        made.must("kcare", "deploy", made.archive(THIRD, [kernel_patch(2, K1)]))
        assert made.register(made.key, "second", "second").status == 200
    return made


# --------------------------------------------------------------------------------------------------------- what an operator does

@dataclass
class Call:
    """`halves`: calls that, made one after the other, lead from before to after as this one does; each may be where it ended."""
    words: tuple
    halves: tuple = ()


CALLS = {
    "deploy": Call(("kcare", "deploy", SECOND)),
    "promote": Call(("kcare", "enable-up-to", THIRD, "--feed", "new"), (("kcare", "enable", FIRST, "--feed", "new"),)),
    "block": Call(("kcare", "block", FIRST)),
    "unroll": Call(("unroll", FIRST, "--delete"), (("kcare", "undeploy", FIRST), ("kcare", "undeploy", FIRST, "--feed", "old"))),
    "feed-remove": Call(("feed", "-d", "old"), (("key", "-c", "--feed", "main", "KEY"),)),
    "restore": Call(("restore", "--full", "BACKUP")),
}


def words(template, call):
    names = {SECOND: template.folder / "made" / f"{SECOND}.tar.bz2"} if "deploy" in call else {}
    names |= {"KEY": template.key, "BACKUP": template.folder / "backup"}
    return [names.get(word, word) for word in call]


def states_of(template, folder, call):
    """All in which a killed portal may leave it, and how many points there are."""
    with Victim(template, folder / "count") as portal:
        portal.start_killed_at(NEVER)
        states = [portal.state()]
        for half in call.halves:
            portal.must(*words(template, half))
            states.append(portal.state())
        begin = portal.n_changes()
        portal.must(*words(template, call.words))
        return states + [portal.state()], portal.n_changes() - begin


def shoot(portal, call, number, states):
    """True: it was killed."""
    when, versions, asked = f"{call.words} killed at {number}", portal.versions(), words(portal.template, call.words)
    portal.start_killed_at(number)
    result = portal.kc(*asked)
    was_killed = portal.end()
    assert result.code == DONE or was_killed and result.code == NETWORK, f"{when}: {result}"
    portal.check(when)
    assert portal.seen() in [state[0] for state in states], f"{when}: hosts see {portal.seen()}"
    portal.start_again()
    state = portal.state()
    assert state in (states if result.code else states[-1:]), f"{when}, with exit code {result.code}: {state}"
    repeated = portal.kc(*asked)
    assert repeated.code in (DONE, NOTHING), f"{when}, then {repeated}"
    assert portal.state() == states[-1], f"{when}: not as wanted when it was repeated"
    assert portal.stop() == 0 and not portal.leftovers(), f"{when}: {portal.leftovers()}"
    portal.check(f"{when}, in the end")
    assert all(version >= versions.get(feed, 0) for feed, version in portal.versions().items()), when
    return was_killed


def points(n_all, long):
    return range(1, n_all + 1) if long else sorted({1 + i * (n_all - 1) // (POINTS - 1) for i in range(POINTS)})


def shoot_all(make, shot, numbers):
    """`make` makes a portal in a folder, which is removed when all went well; `shot` tells whether it was killed."""
    def one(number):
        with make(number) as portal:
            was_killed = shot(portal, number)
        shutil.rmtree(portal.folder)
        return was_killed

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        shots = list(pool.map(one, numbers))
    assert shots[0] and sum(shots) >= len(shots) // 2, "most come before the end"


@pytest.mark.parametrize("name", CALLS)
def test_killed_in_a_call(template, tmp_path, name, long):
    states, n_all = states_of(template, tmp_path, CALLS[name])
    assert n_all > 10, "a call changes files"
    shoot_all(lambda n: Victim(template, tmp_path / str(n)), lambda portal, n: shoot(portal, CALLS[name], n, states),
              points(n_all, long))


# -------------------------------------------------------------------------------------------------------------- what hosts do

class Hosts:
    """Three that register and check in, one after the other. Remembered is what they were told, and what they said last."""

    def __init__(self, portal):
        self.portal, self.told, self.said = portal, {}, {}

    def register(self, name):
        answer = self.portal.register(self.portal.key, name, f"machine-{name}")
        assert answer.status == 200, answer
        self.told[name] = {**answer.json, "patch_level": 0}

    def check_in(self, name, level):
        told = self.told[name]
        self.said[name] = level
        message = {"server_id": told["server_id"], "secret": told["secret"], "nonce": told["nonce"], "hostname": name,
                   "kernel_id": K1, "level": level, "event": "after"}
        answer = self.portal.call("POST", "/admin/api/kcare/checkin", message, user=None)
        assert answer.status == 200, answer
        told |= {"nonce": answer.json["nonce"], "patch_level": level}

    def all(self):
        for name in ("a", "b", "c"):
            if name not in self.told:
                self.register(name)
            self.check_in(name, 1)
        for name in ("a", "b", "c"):
            self.check_in(name, 2)

    def until_it_is_killed(self):
        try:
            self.all()
        except (OSError, http.client.HTTPException):  # refused, reset, or no answer
            pass


def shoot_checkins(portal, number):
    when, hosts = f"check-ins killed at {number}", Hosts(portal)
    portal.start_killed_at(number)
    hosts.until_it_is_killed()
    was_killed = portal.end()
    portal.check(when)
    portal.start_again()
    listed = {server["id"]: server["patch_level"] for server in portal.get("/admin/api/servers?limit=100")}
    for name, told in hosts.told.items():
        level = listed.get(told["server_id"])
        assert level in (told["patch_level"], hosts.said.get(name, 0)), f"{when}: {name} at {level}, answered {told}"
    hosts.all()  # also with the nonce of an answer that was lost
    assert len(portal.get("/admin/api/servers?limit=100")) == 2 + 3, when
    assert portal.stop() == 0
    portal.check(f"{when}, in the end")
    return was_killed


def test_killed_while_hosts_check_in(template, tmp_path, long):
    with Victim(template, tmp_path / "count") as portal:
        portal.start_killed_at(NEVER)
        Hosts(portal).all()
    assert portal.n_changes() >= 9, "each of them is written before it is answered"
    shoot_all(lambda n: Victim(template, tmp_path / str(n)), shoot_checkins, points(portal.n_changes(), long))


# ----------------------------------------------------------------------------------------------------------- what it does itself

class Starter(Victim):
    """Killed while it starts; is_over(): it has done what it does then."""

    def is_over(self):
        raise NotImplementedError

    def start_to_the_end(self, number):
        """True: it was killed. Until is_over(), if it is not."""
        self.armed.touch()
        self.prefix = self.knife(number)
        self.launch()
        lab.wait_until(lambda: self.process.poll() is not None or self.is_over(), 120, "it is killed, or done")
        return self.end()

    def count(self, query):
        """Of a database that may be in use, or not there yet."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.data}/portal.db?mode=ro", uri=True)) as database:
                return database.execute(query).fetchone()[0]
        except sqlite3.OperationalError:
            return None


class New(Starter):
    """Its database is of version 0: empty."""

    def __init__(self, template, folder):
        super().__init__(template, folder)
        for path in self.data.glob("portal.db*"):
            path.unlink()
        (self.data / "portal.db").touch()

    def is_over(self):
        return self.count("SELECT COUNT(*) FROM arrivals WHERE is_here = 1") == 2


class Old(Starter):
    """Two days later: timestamps expire tomorrow, the history is too old, and there are files that nobody needs any more."""

    def __init__(self, template, folder):
        super().__init__(template, folder)
        self.before = self.versions()
        self.configuration = {"KEEP_CHECKINS": 1, "KEEP_AUDIT": 1}
        self.environment = template.clock(2 * 86400)

    def is_over(self):
        return (self.count("SELECT COUNT(*) FROM audit") == 0 == self.count("SELECT COUNT(*) FROM checkins")
                and all(version > self.before[feed] for feed, version in self.versions().items()))


class Earlier(Starter):
    """Its database is of version 1, and has some servers more."""

    ROWS = [f"SELECT * FROM {table} ORDER BY rowid" for table in ("servers", "checkins", "activation_keys", "users", "arrivals")]

    def __init__(self, template, folder):
        super().__init__(template, folder)
        with contextlib.closing(sqlite3.connect(self.data / "portal.db")) as database:
            database.executescript(f"""
                DROP INDEX servers_silent; CREATE INDEX servers_checked_in ON servers (checked_in);
                DELETE FROM schema_version WHERE version > 1;
                {copies_of_server(database, "TRUE", 1000, id="printf('A%015d', n)", checked_in="registered - n")}""")
            self.rows = [database.execute(query).fetchall() for query in self.ROWS]

    def is_over(self):
        return self.count("SELECT MAX(version) FROM schema_version") == 2

    def check_database(self, database, when):
        assert [database.execute(query).fetchall() for query in self.ROWS] == self.rows, when
        version = database.execute("SELECT MAX(version) FROM schema_version").fetchone()[0]
        indices = {name for name, in database.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        assert indices & {"servers_checked_in", "servers_silent"} == {["servers_checked_in", "servers_silent"][version - 1]}, when


def shoot_start(portal, number):
    when, seen = f"a {type(portal).__name__} one killed at {number}", portal.seen()
    was_killed = portal.start_to_the_end(number)
    portal.check(when)
    assert portal.seen() == seen, when
    portal.start_again()
    lab.wait_until(portal.is_over, 120, f"{when}: the next start completes it")
    assert portal.seen() == seen and portal.stop() == 0 and not portal.leftovers(), when
    portal.check(f"{when}, in the end")
    return was_killed


@pytest.mark.parametrize("kind", [New, Old, Earlier])
def test_killed_at_the_start(template, tmp_path, kind, long):
    with kind(template, tmp_path / "count") as portal:
        assert not portal.is_over() and not portal.start_to_the_end(NEVER)
    shoot_all(lambda n: kind(template, tmp_path / str(n)), shoot_start, points(portal.n_changes(), long))


def shoot_init(template, folder, number):
    """False: it came to its end before."""
    def init(*prefix):
        return publishing.run(template.build, "kc.eportal", "init", folder / "data", "--keys", folder / "keys", "--no-passphrase",
                              "--no-admin", prefix=prefix, env={"ASAN_OPTIONS": "detect_leaks=0"})  # not while it is traced

    folder.mkdir()
    when, killed = f"init killed at {number}", init(template.folder / "kill_at", "-d", str(number))
    if killed.code == DONE:
        return False
    started = publishing.run(template.build, "eportald", "--foreground", "--data", folder / "data")
    assert started.code == INPUT and f"'kc.eportal init {folder}/data'" in started.err, f"{when}: {started}"
    again = init()
    if again.code != DONE:  # it is the operator who removes keys
        assert "root.key exists already" in again.err, f"{when}: {again}"
        shutil.rmtree(folder / "keys")
        again = init()
    assert again.code == DONE and not (folder / "data/unfinished").exists(), f"{when}: {again}"
    verified = publishing.run(template.build, "kcare-repo", "verify", folder / "data/repository")
    assert verified.code == DONE and "all good" in verified.out, f"{when}: {verified}"
    shutil.rmtree(folder)
    return True


def test_killed_while_it_is_made(template, tmp_path, long):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        numbers = range(1, 400) if long else range(1, 400, 25)
        was_killed = list(pool.map(lambda n: shoot_init(template, tmp_path / str(n), n), numbers))
    assert was_killed[0] and not was_killed[-1]
