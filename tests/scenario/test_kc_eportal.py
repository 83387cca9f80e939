# SPDX-License-Identifier: GPL-2.0-or-later
"""kc.eportal as an administrator has it: a new portal, and each command, with what it says and what came of it.

What the commands do to hosts is in test_registration.py, backups in test_eportald.py, the upstream in test_upstream.py. Commands
are written as in a shell; test_all_that_the_manual_has_is_run() looks for them in this file.
"""
import ast
import itertools
import json
import pathlib
import re
import shlex
import shutil
import sqlite3
import tempfile
import threading
import time

import pytest

import lab
import publishing
from conftest import need_root
from lab import DONE, FAILED, INPUT, NETWORK, NOTHING, REFUSED, USAGE
from portal import PASSWORD, Portal
from publishing import Host, kernel_patch, user_patch

K1, K2, K3, K4, U1 = "K20261101_01", "K20261102_01", "K20261103_01", "K20261104_01", "U20261101_01"
MANUAL = lab.TARGETS.parents[1] / "man/kc.eportal.8.scd"
DAY = 86400


def ago(hours):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours * 3600))


def say(portal, command, code=DONE, out=None, err=None):
    """One command, as in a shell. `out`: exactly that. An error is one line; `err` is a part of it."""
    result = portal.kc(*shlex.split(command))
    assert result.code == code, result
    assert out is None or result.out == out, result
    if code != DONE:
        assert re.fullmatch(r"kc\.eportal: [a-z-]+: .*\n", result.err), result
    assert (err is None and (code != DONE or not result.err)) or (err and err in result.err), result
    return result.out


def shown(portal, command):
    return json.loads(say(portal, command))


def rows(text):
    """A table: [{column: cell}]. Columns are two blanks apart."""
    head, *lines = text.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S+(?: \S+)*", head)]
    cells = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None])] for line in (head, *lines)]
    return [dict(zip(cells[0], row)) for row in cells[1:]]


# ------------------------------------------------------------------------------------------------------------- a new portal

def test_a_first_host_within_a_minute(build_folder, tmp_path):
    """`init`, one start command, and what docs/portal.md says of the host: nothing else is needed."""
    publishing.run(build_folder, "kcare-build", "keygen", tmp_path / "author")
    begin, port = time.monotonic(), lab.free_port()
    portal = Portal(build_folder, tmp_path / "portal", tmp_path / "author", listen=f"127.0.0.1:{port}")
    portal.start(listen=None)
    host = Host(build_folder, tmp_path / "host", PATCH_SERVER=f"http://127.0.0.1:{port}")
    for file in (portal.root_json, tmp_path / "author/author.pub"):
        assert host.kcarectl("--import-key", file).code == DONE
    key = say(portal, "key -a").strip()
    assert host.kcarectl("--register", key).out == "Server Registered\n"
    assert rows(say(portal, "server"))[0]["KEY"] == key
    assert time.monotonic() - begin < 60
    prefixes_work(portal, host)
    assert portal.stop() == 0


def prefixes_work(portal, host):
    """From the first day on, each prefix of the manual gets an answer."""
    for prefix in (None, "main", "test", "12h", "24h", "48h"):
        host.configure(PREFIX=prefix)
        result = host.kcarectl("--check")
        assert result.code == 1 and "no patches for this kernel in the feed" in result.out, (prefix, result)
    host.configure(PREFIX=None)
    for level, hours in ((1, 50), (2, 30), (3, 14), (4, 1)):
        portal.must("kcare", "deploy", portal.archive(f"K2026110{level}_01", [kernel_patch(level)], released=ago(hours)))
    portal.must("kcare", "deploy", "--feed", "test", portal.archive("K20261105_01", [kernel_patch(5)]))

    def offered(prefix):
        return int(host.kcarectl("--check", "--prefix", prefix).out.split()[2])

    assert [offered(prefix) for prefix in ("main", "test", "12h", "24h", "48h")] == [4, 5, 3, 2, 1]
    # an update asks for the same
    host.configure(PREFIX="24h")
    host.kcarectl("--update")
    assert [path.stem for path in (host.cache / "kernel").rglob("*.kpatch")] == ["2"]
    # test has what main has, too, once the portal looked, or was told to
    say(portal, "kcare auto-update", out="4 patchsets taken by feeds with auto\n")
    say(portal, "kcare block K20261105_01 --feed test")
    assert offered("test") == 4
    # and what is blocked there, it blocks
    say(portal, "kcare block K20261104_01")
    say(portal, "kcare auto-update")
    assert offered("test") == 3
    say(portal, "kcare auto-update", NOTHING, err="there is nothing new")


def test_init(build_folder, tmp_path):
    def init(words):
        words = words.replace("DIR", str(tmp_path))
        return publishing.run(build_folder, "kc.eportal", *shlex.split(words))

    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    publishing.run(build_folder, "kcare-build", "keygen", tmp_path / "author")
    for words, code, says in [
            ("init", USAGE, "--keys"),
            ("init DIR/p", USAGE, "--keys"),
            ("init --keys DIR/k", USAGE, "missing argument"),
            ("init DIR/p DIR/q --keys DIR/k --no-passphrase", USAGE, "too many arguments"),
            ("init DIR/p --keys DIR/k --passphrase-file DIR/password --no-passphrase", USAGE, "exclude each other"),
            ("init DIR/p --keys DIR/k --no-passphrase --password-file DIR/password --no-admin", USAGE, "exclude each other"),
            ("init DIR/p --keys DIR/k --passphrase-file DIR/none", INPUT, "DIR/none"),
            ("init DIR/p --keys DIR/k --no-passphrase --author DIR/none.pub", INPUT, "DIR/none.pub"),
            ("init DIR/p --keys DIR/k --no-passphrase --listen here", INPUT, "here"),
            ("init DIR/p --keys DIR/p/k --no-passphrase", REFUSED, "DIR/p/k is inside DIR/p: the root key must stay apart"),
            ("init DIR/full --keys DIR/k --no-passphrase", REFUSED, "not empty")]:
        result = init(words)
        assert result.code == code and says.replace("DIR", str(tmp_path)) in result.err and len(result.err.splitlines()) == 1, result
        # nothing is in the way of the next try
        assert not (tmp_path / "p").exists() and not (tmp_path / "k").exists(), words
    result = init("init DIR/p --keys DIR/k --author DIR/author/author.pub --no-passphrase --no-admin --listen '[::]:8142'")
    assert result.code == DONE and "THIS-MACHINE:8142" in result.out and "user -a" in result.out, result
    assert "\nLISTEN=[::]:8142\n" in (tmp_path / "p/config").read_text()
    assert (tmp_path / "k/root.key").stat().st_mode & 0o777 == 0o600


# -------------------------------------------------------------------------------------------- one portal for all that follows

@pytest.fixture(scope="module")
def upstream(build_folder, tmp_path_factory):
    with Portal(build_folder, tmp_path_factory.mktemp("up")) as made:
        yield made


@pytest.fixture(scope="module")
def archives(upstream):
    """Five patchsets of the one author."""
    made = {name: upstream.archive(name, [kernel_patch(level)], released=f"2026-11-0{level}")
            for level, name in enumerate((K1, K2, K3, K4), 1)}
    return {**made, U1: upstream.archive(U1, [user_patch(1, "ab" * 20)])}


@pytest.fixture(scope="module")
def portal(upstream, archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("portal")
    for name, archive in archives.items():
        shutil.copy(archive, folder / f"{name}.tar.bz2")
    made = Portal(upstream.build, folder, author=upstream.author, UPSTREAM=upstream.url, UPSTREAM_ROOT=upstream.root_json)
    made.start()
    # what it takes by itself, and when, is another story
    made.must("feed", "-c", "--no-auto", "test")
    yield made
    assert made.stop() == 0


def states(portal, feed="main", product="kernel"):
    """As the API tells them."""
    listed = portal.call("GET", f"/admin/api/patchsets/?feed={feed}&product={product}").json["result"]
    return {row["patchset"]: row["status"] for row in listed}


def name_of(feed):
    return feed["name"], feed["auto"], feed["deploy_after"], feed["channel"], feed["patchsets"]


# ---------------------------------------------------------------------------------------------------------------- patchsets

def test_patchsets(portal):
    there = portal.folder
    say(portal, f"kcare deploy {there}/{K1}.tar.bz2", out=f"{K1} was enabled in main\n")
    say(portal, f"kcare deploy {there}/{K1}.tar.bz2", NOTHING, err="nothing-to-do: the feed has it already")
    say(portal, f"kcare deploy --feed test {there}/{K2}.tar.bz2", out=f"{K2} was enabled in test\n")
    say(portal, f"kcare deploy --disabled {there}/{K3}.tar.bz2", out=f"{K3} was deployed, and is not enabled, in main\n")
    say(portal, f"--deploy {there}/{K4}.tar.bz2", out=f"{K4} was enabled in main\n")
    say(portal, f"libcare deploy {there}/{U1}.tar.bz2", out=f"{U1} was enabled in main\n")
    assert states(portal) == {K1: "enabled", K2: "undeployed", K3: "disabled", K4: "enabled"}
    assert f"eportald: info: {K4} was enabled in main\n" in portal.said()
    assert states(portal, "test") == {K1: "undeployed", K2: "enabled", K3: "undeployed", K4: "undeployed"}
    assert states(portal, product="user") == {U1: "enabled"}
    # the lists are the API's
    listed = rows(say(portal, "kcare list"))
    assert {row["PATCHSET"]: row["STATUS"] for row in listed} == states(portal)
    assert listed[0]["RELEASED"] == "2026-11-01 00:00:00" and listed[0]["DISTRO"] == "debian12"
    assert shown(portal, "kcare list --json --feed test") == \
        portal.call("GET", "/admin/api/patchsets/?feed=test&product=kernel").json["result"]
    assert {row["PATCHSET"] for row in rows(say(portal, "libcare list"))} == {U1}
    assert say(portal, "qemu list") == say(portal, "kcare list --distro rhel9") == ""
    assert {row["patchset"] for row in shown(portal, "kcare list --json --distro rhel9 --distro debian12")} == {K1, K2, K3, K4}
    # one patchset, some feeds
    say(portal, f"kcare enable {K2} --feed main --feed test", out=f"{K2} was enabled in main,test\n")
    say(portal, f"kcare enable {K2}", NOTHING, err="it is so already")
    say(portal, f"kcare disable {K2}", out=f"{K2} was disabled in main\n")
    say(portal, f"kcare block {K2} --feed test", out=f"{K2} was blocked in test\n")
    assert states(portal)[K2] == "disabled" and states(portal, "test")[K2] == "blocked"
    say(portal, f"kcare undeploy {K4}", out=f"{K4} was undeployed in main\n")
    say(portal, f"kcare undeploy {K4}", NOTHING, err="it is so already")
    assert states(portal)[K4] == "undeployed"
    # many: what somebody disabled stays so
    say(portal, f"kcare enable-up-to {K4}", out=f"1 patchset was enabled in main, up to {K4}\n")
    assert states(portal) == {K1: "enabled", K2: "disabled", K3: "disabled", K4: "enabled"}
    say(portal, f"kcare enable {K3}")
    say(portal, f"kcare undeploy-down-to {K3}", out=f"2 patchsets were undeployed in main, down to {K3}\n")
    assert states(portal) == {K1: "enabled", K2: "disabled", K3: "undeployed", K4: "undeployed"}
    # out of all, first from the feeds, then for good
    say(portal, f"unroll {K2}", out=f"{K2} was taken out of 2 feeds\n")
    say(portal, f"unroll {K2}", NOTHING, err="no feed has it")
    assert states(portal)[K2] == states(portal, "test")[K2] == "undeployed"
    say(portal, f"unroll {K2} --delete", out=f"the files of {K2} are gone\n")
    say(portal, f"--unroll {K2} --delete", NOTHING, err="there are no files of it")
    assert K2 not in states(portal)
    say(portal, f"kcare enable {K2}", FAILED, err="not-found: ")
    say(portal, f"kcare unroll {K1} --delete", out=f"{K1} was taken out of 1 feed, and its files are gone\n")
    say(portal, f"kcare enable {K1}", FAILED, err="'deploy' brings its archive")
    kept = [path.name for path in (portal.data / "archives/patchsets").iterdir()]
    assert sorted(kept) == [f"{K3}.json", f"{K4}.json"], "those that were only taken out"
    say(portal, f"kcare deploy {there}/{K1}.tar.bz2")


def test_patchsets_that_cannot_be(portal):
    there = portal.folder
    (there / "garbage.tar.bz2").write_bytes(b"x" * 1000)
    (there / "empty.tar.bz2").write_bytes(b"")
    archive = (there / f"{K3}.tar.bz2").read_bytes()
    (there / "short.tar.bz2").write_bytes(archive[:len(archive) // 2])
    before = states(portal), states(portal, product="user")
    for command, code, says in [
            (f"kcare deploy {there}/garbage.tar.bz2", REFUSED, "bad-archive: the archive: not an archive of a patchset"),
            (f"kcare deploy {there}/short.tar.bz2", INPUT, "truncated: the archive: it is cut short"),
            (f"kcare deploy {there}/empty.tar.bz2", INPUT, "the body is empty: it must be the archive of a patchset"),
            (f"kcare deploy {there}/none.tar.bz2", INPUT, f"cannot read {there}/none.tar.bz2: No such file"),
            (f"kcare deploy {there}", INPUT, f"{there}"),
            (f"qemu deploy {there}/{K3}.tar.bz2", INPUT, f"{K3} is a patchset of kcare"),
            (f"kcare deploy {there}/{K3}.tar.bz2 --feed none", FAILED, "there is no feed none"),
            ("kcare list --feed none", FAILED, "there is no feed none"),
            (f"kcare enable {K3} --feed none", FAILED, "there is no feed none"),
            (f"libcare enable {K3}", INPUT, f"{K3} is a patchset of kcare"),
            ("kcare enable K20300101_01", FAILED, "'deploy' brings its archive"),
            ("kcare block K20300101_01", FAILED, "K20300101_01"),
            ("kcare enable-up-to K20300101_01", FAILED, "is not here"),
            ("kcare disable ../../etc/passwd", INPUT, "a patchset has a name like K20261123_01"),
            ("unroll nothing", INPUT, "a patchset has a name like K20261123_01"),
            (f"kcare enable {K3}{'x' * 300}", INPUT, "longer than"),
            ("kcare", USAGE, "missing argument"),
            ("kcare deploy", USAGE, "missing argument"),
            ("kcare frob", USAGE, "not 'frob'"),
            (f"kcare enable {K1} {K3}", USAGE, "too many arguments"),
            (f"kcare enable {K1} --disabled", USAGE, "'enable' does not take --disabled"),
            (f"kcare enable {K1} --delete", USAGE, "'enable' does not take --delete"),
            (f"kcare update --feed main --feed test", USAGE, "'update' does not take more than one --feed"),
            ("kcare update --json", USAGE, "'update' does not take --json"),
            ("kcare auto-update --feed main", USAGE, "'auto-update' does not take --feed"),
            ("kcare list --colour", USAGE, "no option '--colour'"),
            ("kcare list --feed", USAGE, "'--feed' needs a value"),
            ("unroll", USAGE, "missing argument: expected a patchset"),
            (f"unroll {K1} --feed main", USAGE, "does not take --feed"),
            ("download-missing now", USAGE, "too many arguments")]:
        say(portal, command, code, out="", err=says)
    assert (states(portal), states(portal, product="user")) == before


def test_from_the_upstream(portal, upstream):
    five, six = "K20261105_01", "K20261106_01"
    say(portal, "libcare update", NOTHING, err="there is nothing new")
    upstream.must("kcare", "deploy", upstream.archive(five, [kernel_patch(5)]))
    say(portal, "download-missing", out="1 patchset downloaded\n")
    say(portal, "--download-missing", NOTHING, err="nothing that the upstream has is missing")
    say(portal, "kcare download-missing", NOTHING, err="nothing that the upstream has is missing")
    assert states(portal)[five] == "undeployed"
    say(portal, "kcare update --feed test", out="1 patchset came from the upstream\n")
    assert states(portal)[five] == "undeployed" and states(portal, "test")[five] == "enabled"
    say(portal, "--get-latest", out="1 patchset came from the upstream\n")
    assert states(portal)[five] == "enabled"
    # released long ago, and here since now: feeds with a delay wait
    say(portal, "feed -a --auto --deploy-after 24 late")
    upstream.must("kcare", "deploy", upstream.archive(six, [kernel_patch(6)], released="2026-11-06"))
    say(portal, "--auto-update", NOTHING)
    assert states(portal, "late")[six] == "undeployed"
    say(portal, "feed -c --deploy-after 0 late")
    say(portal, "kcare auto-update")
    assert states(portal, "late")[six] == "enabled" and states(portal)[six] == "undeployed"
    say(portal, "qemu auto-update", NOTHING, err="there is nothing new")
    say(portal, "feed -d late")


# -------------------------------------------------------------------------------------------------------------------- feeds

def feeds(portal):
    return {feed["name"]: feed for feed in portal.call("GET", "/admin/api/feeds/").json["result"]}


def test_feeds(portal):
    assert name_of(feeds(portal)["main"])[:4] == ("main", False, 0, "default")
    assert name_of(feeds(portal)["test"])[:4] == ("test", False, 0, "test")
    say(portal, "feed -a --auto --deploy-after 12 --channel unstable --note 'first of all' early", out="feed early was added\n")
    assert name_of(feeds(portal)["early"]) == ("early", True, 12, "unstable", 0)
    say(portal, "feed -a early", REFUSED, err="exists: the feed early is there already; -c changes it")
    say(portal, "feed -c --no-auto --deploy-after 0 --channel test early", out="feed early was changed\n")
    assert name_of(feeds(portal)["early"]) == ("early", False, 0, "test", 0) and feeds(portal)["early"]["note"] == "first of all"
    say(portal, "feed -c --note '' early")
    say(portal, "feed -c --no-auto early", NOTHING, err="the feed early is so already")
    say(portal, "feed -c late", FAILED, err="there is no feed late; -a adds it")
    say(portal, "feed -a --from main copy", out="feed copy was added\n")
    assert states(portal, "copy") == states(portal)
    # lists, and one of them
    assert {row["FEED"]: row["CHANNEL"] for row in rows(say(portal, "feed list"))} == \
        {"main": "default", "test": "test", "early": "test", "copy": "default"}
    assert say(portal, "feed") == say(portal, "feed list") == say(portal, "feed -l")
    assert rows(say(portal, "feed early")) == \
        [{"FEED": "early", "AUTO": "no", "AFTER H": "0", "CHANNEL": "test", "PATCHSETS": "0", "NOTE": "-"}]
    assert shown(portal, "feed --json") == list(feeds(portal).values())
    assert shown(portal, "feed --json copy") == [feeds(portal)["copy"]]
    # keys of a feed that goes follow main
    key = say(portal, "key -a --feed copy").strip()
    say(portal, "feed -d copy", out="feed copy was removed; its keys follow main\n")
    assert rows(say(portal, f"key {key}"))[0]["FEED"] == "main"
    say(portal, "feed -d copy", NOTHING, err="there is no feed copy")
    say(portal, "feed -d main", REFUSED, err="refused: the feed main is always there")
    say(portal, f"key -d {key}")
    before = feeds(portal)
    for command, code, says in [
            ("feed -a 'two words'", INPUT, "the name of a feed"),
            ("feed -a ../up", INPUT, "the name of a feed"),
            ("feed -a 12h", INPUT, "12h, 24h and 48h are delays on main"),
            (f"feed -a {'x' * 65}", INPUT, "the name of a feed"),
            (f"feed -c --note {'x' * 300} early", INPUT, "note is longer than"),
            ("feed -c --deploy-after soon early", USAGE, "the number of hours is a number from 0 on"),
            ("feed -c --deploy-after -1 early", USAGE, "the number of hours is a number from 0 on"),
            ("feed -c --deploy-after 8761 early", INPUT, "deploy_after must be a number from 0 to 8760"),
            ("feed -c --channel fast early", INPUT, "channel is default, test or unstable"),
            ("feed -c --auto --no-auto early", USAGE, "--auto and --no-auto exclude each other"),
            ("feed -a --from none copy", FAILED, "there is no feed none"),
            ("feed -c --from main early", USAGE, "--from goes with -a"),
            ("feed --auto", USAGE, "only -a and -c set something"),
            ("feed none", FAILED, "there is no feed none"),
            ("feed -a", USAGE, "missing argument"),
            ("feed -a -c x", USAGE, "one of -a, -c, -d and -l"),
            ("feed -a x y", USAGE, "too many arguments"),
            ("feed -x", USAGE, "no option '-x'")]:
        say(portal, command, code, out="", err=says)
    assert feeds(portal) == before
    say(portal, "feed -d early")


# --------------------------------------------------------------------------------------------------------------------- keys

def keys(portal):
    return {key["key"]: key for key in portal.call("GET", "/admin/api/keys/").json["result"]}


def error_of(portal, key, **more):
    """What a host is told that registers with it."""
    answer = portal.register(key, **more)
    return answer.json.get("error"), answer


def test_keys(portal):
    key = say(portal, "key -a --server-limit 1 --note first").strip()
    assert re.fullmatch(r"[A-Za-z0-9]{16}", key)
    assert keys(portal)[key]["server_limit"] == 1 and keys(portal)[key]["products"] == ["kernel", "libs", "qemu"]
    say(portal, "key -a of-my-own --feed test --product kcare --product libcare", out="of-my-own\n")
    assert keys(portal)["of-my-own"]["feed"] == "test" and keys(portal)["of-my-own"]["products"] == ["kernel", "libs"]
    say(portal, "key -a of-my-own", REFUSED, err="exists: the key of-my-own is there already; -c changes it")
    # the terms, and what a host is told
    assert error_of(portal, key, machine="m1")[0] is None
    assert error_of(portal, key, machine="m2")[0] == "key-limit-reached"
    changed = f"key {key} was changed\n"
    say(portal, f"key -c --server-limit 0 {key}", out=changed)
    for options, error, back in [("--lock", "key-locked", "--unlock"), ("--ends 2026-01-31", "key-ended", "--ends ''"),
                                 ("--addresses 192.0.2.0/24,2001:db8::/32", "address-not-allowed", "--addresses ''")]:
        say(portal, f"key -c {options} {key}", out=changed)
        assert error_of(portal, key, machine="m2")[0] == error
        say(portal, f"key -c {options} {key}", NOTHING, err=f"the key {key} is so already")
        say(portal, f"key -c {back} {key}", out=changed)
    say(portal, f"key -c --sticky 2026-11-20 --feed test --product qemu --ends 2099-12-31 --addresses 127.0.0.1 {key}", out=changed)
    terms = error_of(portal, key, machine="m2")[1].json["terms"]
    assert terms["feed"] == "test" and terms["sticky"] == "2026-11-20" and terms["has_qemu"] and not terms.get("has_kernel"), terms
    assert "sticky=2026-11-20 ends=2099-12-31 addresses=127.0.0.1 products=qemu" in say(portal, "audit --limit 3")
    say(portal, f"key -c --sticky yesterday --default-products {key}", out=changed)
    assert error_of(portal, key, machine="m2")[1].json["terms"]["sticky"] == "yesterday"
    # lists
    row = next(row for row in rows(say(portal, "key list")) if row["KEY"] == key)
    assert row == {"KEY": key, "SERVERS": "2", "LIMIT": "0", "ABOVE": "0", "FEED": "test", "PRODUCTS": "kernel,libs,qemu", "STICKY": "yesterday",
                   "ENDS": "2099-12-31 23:59:59", "LOCKED": "no", "ADDRESSES": "127.0.0.1", "NOTE": "first"}
    assert say(portal, "key") == say(portal, "key -l")
    assert shown(portal, "key --json") == list(keys(portal).values()) and shown(portal, f"key {key} --json") == [keys(portal)[key]]
    assert f"2      {key}\n" in say(portal, "--list-servers")
    before = keys(portal)
    for command, code, says in [
            (f"key -c --feed none {key}", FAILED, "there is no feed none"),
            (f"key -c --server-limit many {key}", USAGE, "the server limit is a number from 0 on"),
            (f"key -c --server-limit -1 {key}", USAGE, "the server limit is a number from 0 on"),
            (f"key -c --server-limit 99999999999 {key}", USAGE, "the server limit is a number"),
            (f"key -c --sticky 2026-02-30 {key}", INPUT, "sticky is a day, as in 2026-11-30, not 2026-02-30"),
            (f"key -c --sticky 301126 {key}", INPUT, "sticky is a day, as in 2026-11-30"),
            (f"key -c --sticky 2099-01-01 {key}", INPUT, "sticky is a day that is over"),
            (f"key -c --sticky {time.strftime('%Y-%m-%d', time.gmtime())} {key}", INPUT, "sticky is a day that is over"),
            (f"key -c --ends tomorrow {key}", INPUT, "ends is a day, as in 2026-11-30"),
            (f"key -c --addresses 300.1.1.1 {key}", INPUT, "'300.1.1.1' is no address and no network"),
            (f"key -c --product esu {key}", INPUT, "'esu' is no product: kernel, libs, qemu"),
            (f"key -c --product qemu --default-products {key}", USAGE, "--product and --default-products exclude each other"),
            (f"key -c --lock --unlock {key}", USAGE, "--lock and --unlock exclude each other"),
            (f"key -c --note {'x' * 300} {key}", INPUT, "note is longer than"),
            ("key -a 'two words'", INPUT, "a key has 1 to 64 letters"),
            (f"key -a {'x' * 65}", INPUT, "a key has 1 to 64 letters"),
            ("key -a ''", USAGE, "a key cannot be empty"),
            ("key -c none", FAILED, "there is no key none; -a adds it"),
            ("key none", FAILED, "there is no key none"),
            ("key -d none", NOTHING, "there is no key none"),
            ("key -d", USAGE, "missing argument"),
            ("key --lock", USAGE, "only -a and -c set something"),
            ("key -a -d x", USAGE, "one of -a, -c, -d and -l"),
            ("key --note", USAGE, "'--note' needs a value"),
            ("key -z", USAGE, "no option '-z'")]:
        say(portal, command, code, out="", err=says)
    assert keys(portal) == before
    say(portal, f"key -d {key}", out=f"key {key} was removed, with its servers\n")
    say(portal, "key -d of-my-own")
    assert say(portal, "server --count") == "0\n"


# ------------------------------------------------------------------------------------------------------------------ servers

def a_server(portal, key, hostname, machine):
    """It has checked in, as hosts do when they register. Its id."""
    return check_in(portal, portal.register(key, hostname, machine).json, hostname)["server_id"]


def check_in(portal, identity, hostname):
    """Of who registered or checked in; what it checks in with next."""
    said = {name: identity[name] for name in ("server_id", "secret", "nonce")}
    answer = portal.call("POST", "/admin/api/kcare/checkin", {**said, "hostname": hostname, "event": "periodic"}, user=None)
    assert answer.status == 200, answer
    return said | {"nonce": answer.json["nonce"]}


def test_servers(portal):
    say(portal, "key -a fleet")
    say(portal, "key -a spare --feed test")
    ids = [a_server(portal, "fleet", f"web{n:02}.example", f"m{n}") for n in range(11)]
    other = a_server(portal, "spare", "db.example", "m99")
    assert say(portal, "server list --count") == "12\n"
    assert len(rows(say(portal, "server", err="10 of 12 servers are shown: --limit and --offset show others"))) == 10
    assert len(rows(say(portal, "server list --limit 100"))) == 12
    (row,) = rows(say(portal, f"server --id {other}"))
    assert {column: row[column] for column in ("ID", "HOSTNAME", "IP", "KEY", "FEED", "LEVEL")} == \
        {"ID": other, "HOSTNAME": "db.example", "IP": "127.0.0.1", "KEY": "spare", "FEED": "test", "LEVEL": "0"}
    # as the API shows them
    assert shown(portal, "server --json --limit 100") == portal.call("GET", "/admin/api/servers?limit=100").json["result"]
    csv = say(portal, "server --csv --limit 100").splitlines()
    assert len(csv) == 13 and csv[0].startswith("id,ip,hostname,")
    # filters
    for options, n in [("--hostname web%", 11), ("--hostname web0%", 10), ("--hostname none", 0), ("--ip 127.%", 12),
                       ("--ip 10.%", 0), ("--feed test", 1), ("--key fleet", 11), ("--tag rack:1", 0), ("--registered-age -1", 12),
                       ("--registered-age 1", 0), ("--checkin-age -4h", 12), ("--checkin-age 4h", 0), ("--updated-age -1", 12),
                       ("--updated-age 3", 0), ("--outdated", 12), ("--updated", 0), ("--hostname web% --feed test", 0), ("--offset 2 --limit 1", 12)]:
        assert say(portal, f"server --count {options}") == f"{n}\n", options
    # tags
    say(portal, f"server tag {other} 'rack:1;env:prod'", out="the tags were set\n")
    say(portal, f"server tag {other} 'rack:1;env:prod'", NOTHING, err="it has these tags already")
    assert shown(portal, "server --tag rack:1 --json")[0]["id"] == other
    say(portal, f"server tag {other} ''")
    assert say(portal, "server --count --tag rack:1") == "0\n"
    for command, code, says in [
            ("server frob", USAGE, "not 'frob'"),
            ("server list x", USAGE, "too many arguments"),
            ("server --limit 0", INPUT, "limit must be a number from 1 to 1000"),
            ("server --limit x", INPUT, "limit must be a number from 1 to 1000"),
            ("server --offset -1", INPUT, "offset must be a number from 0"),
            ("server --checkin-age soon", INPUT, "checkin_age is a number of days, as in 3, -3 or 4h"),
            ("server --updated --outdated", USAGE, "--updated and --outdated exclude each other"),
            ("server --csv --json", USAGE, "--csv and --json exclude each other"),
            ("server --days 3", USAGE, "'list' does not take --days"),
            (f"server --hostname {'x' * 300}", INPUT, "longer than"),
            (f"server tag {other}", USAGE, "missing argument"),
            (f"server tag {other} a b", USAGE, "too many arguments"),
            ("server tag AAAAAAAAAAAAAAAA x", REFUSED, "there is no server AAAAAAAAAAAAAAAA"),
            (f"server tag {other} {'x' * 3000}", INPUT, "longer than"),
            (f"server tag {other} 'a\tb'", INPUT, "tag"),
            ("server remove", USAGE, "missing argument"),
            ("server remove AAAAAAAAAAAAAAAA", NOTHING, "there is no such server"),
            ("server remove --hostname web%", INPUT, "a whole hostname or address is needed"),
            (f"server remove --hostname web00.example {other}", USAGE, "too many arguments"),
            (f"server remove --feed main {other}", USAGE, "'remove' does not take --feed"),
            ("server clean", USAGE, "needs --inactive"),
            ("server clean --inactive --days 0", USAGE, "the number of days is a number from 1 on"),
            ("server clean --inactive --days x", USAGE, "the number of days is a number from 1 on"),
            ("server clean --inactive --days 99999", INPUT, "checkin_age must be a number from 1 to 36500"),
            ("server clean --inactive --feed main", USAGE, "'clean' does not take --feed"),
            ("server --what", USAGE, "no option '--what'")]:
        say(portal, command, code, out="", err=says)
    # one, and those that are silent
    say(portal, f"server remove {other}", out="1 server was deleted\n")
    say(portal, "server remove --hostname web00.example", out="1 server was deleted\n")
    say(portal, "server clean --inactive", out="0 servers were deleted\n")
    assert portal.call("DELETE", "/admin/api/servers").json["error"] == "bad-input"
    make_silent(portal, ids[1:4], 40)
    make_silent(portal, ids[4:5], 20)
    assert {server["status"] for server in shown(portal, "server --json --checkin-age 30")} == {"inactive"}
    say(portal, "server clean --inactive", out="3 servers were deleted\n")
    say(portal, "server clean --inactive --days 10", out="1 server was deleted\n")
    assert {row["ID"] for row in rows(say(portal, "server --limit 100"))} == set(ids[5:])
    say(portal, "server remove --ip 127.0.0.1", out="6 servers were deleted\n")
    say(portal, "key -d fleet")
    say(portal, "key -d spare")


def test_who_comes_back_to_a_full_key(portal):
    """He is heard, whoever has his place; that is too many then, which everybody is told who asks."""
    say(portal, "key -a full --server-limit 1")
    first = check_in(portal, portal.register("full", "first", "m1").json, "first")
    make_silent(portal, [first["server_id"]], 40)
    second = a_server(portal, "full", "second", "m2")
    assert "BAD  keys" not in portal.kc("doctor").out
    check_in(portal, first, "first")
    row, = rows(say(portal, "key full"))
    assert (row["SERVERS"], row["LIMIT"], row["ABOVE"]) == ("2", "1", "1"), row
    bad = say(portal, "doctor", FAILED, err="something is to be done")
    assert re.search(r"^BAD  keys +full has 2 servers, 1 above its limit, and takes no new ones: raise the limit", bad, re.M), bad
    assert error_of(portal, "full", machine="m3")[0] == "key-limit-reached"
    assert error_of(portal, "full", machine="m2")[0] is None, "it is in"
    say(portal, f"server remove {first['server_id']}", out="1 server was deleted\n")
    assert keys(portal)["full"]["above_limit"] == 0 and "BAD  keys" not in portal.kc("doctor").out
    assert error_of(portal, "full", machine="m3")[0] == "key-limit-reached", "there is place for one"
    say(portal, "key -c full --server-limit 2")
    assert error_of(portal, "full", machine="m3")[0] is None
    assert second not in {server["id"] for server in shown(portal, "server --json --key full")}, "it has registered again"
    say(portal, "key -d full")


def make_silent(portal, ids, days):
    """They checked in so long ago. The only way to make it so is not the portal's."""
    assert portal.stop() == 0
    with sqlite3.connect(portal.data / "portal.db") as db:
        db.executemany("UPDATE servers SET checked_in = ?, registered = ? WHERE id = ?",
                       [(int(time.time()) - days * DAY, int(time.time()) - days * DAY, one) for one in ids])
    db.close()
    portal.start()


# -------------------------------------------------------------------------------------------------------------------- users

def users(portal):
    return {user["username"]: user for user in portal.call("GET", "/admin/api/users/").json["result"]}


def test_users(portal):
    (portal.folder / "other").write_text("another long password\n")
    (portal.folder / "short").write_text("short\n")
    password = portal.folder / "other"
    say(portal, f"user -a --password-file {password} --note 'looks at it' looks", out="user looks was added\n")
    assert users(portal)["looks"]["readonly"] and users(portal)["looks"]["has_password"]
    assert portal.call("GET", "/admin/api/keys/", user="looks", password="another long password").status == 200
    refused = portal.call("POST", "/admin/api/keys/", {}, user="looks", password="another long password")
    assert refused.status == 403 and refused.json["error"] == "forbidden"
    say(portal, "user -c -r admin looks", out="user looks was changed\n")
    assert portal.call("POST", "/admin/api/keys/", {"key": "by-looks"}, user="looks", password="another long password").status == 200
    say(portal, "key -d by-looks")
    say(portal, "user -c -p 'shown to everybody' looks", out="user looks was changed\n", err="warning: a password in the command line")
    assert portal.call("GET", "/admin/api/keys/", user="looks", password="shown to everybody").status == 200
    say(portal, "user -a --no-password -r readonly robot", out="user robot was added\n")
    assert not users(portal)["robot"]["has_password"]
    assert {row["USER"]: row["READONLY"] for row in rows(say(portal, "user"))} == {"admin": "no", "looks": "no", "robot": "yes"}
    assert say(portal, "user list") == say(portal, "user -l")
    assert rows(say(portal, "user looks"))[0]["NOTE"] == "looks at it"
    assert shown(portal, "user --json") == list(users(portal).values())
    # keys for programs
    key = say(portal, "api-key -a robot --days 3 --note ci", err="this is shown only once").strip()
    asked = portal.call("GET", "/admin/api/keys/", user=None, headers={"X-Api-Key": key})
    assert asked.status == 200
    assert portal.call("POST", "/admin/api/keys/", {}, user=None, headers={"X-Api-Key": key}).status == 403
    (row,) = rows(say(portal, "api-key"))
    assert row["USER"] == "robot" and row["NOTE"] == "ci" and row["EXPIRES"] > row["CREATED"]
    assert [one["id"] for one in shown(portal, "api-key --json")] == [row["ID"]]
    assert rows(say(portal, f"api-key {row['ID']}")) == [row]
    say(portal, f"api-key -d {row['ID']}", out=f"API key {row['ID']} was removed\n")
    assert portal.call("GET", "/admin/api/keys/", user=None, headers={"X-Api-Key": key}).status == 401
    before = users(portal)
    for command, code, says in [
            ("user -a nobody", INPUT, "--password-file FILE or --no-password would do without asking: there is no terminal"),
            ("user -c --ask-password looks", INPUT, "there is no terminal to ask at"),
            (f"user -a --password-file {portal.folder}/short x", INPUT, "a password has at least 12 characters here"),
            (f"user -a --password-file {portal.folder}/none x", INPUT, f"{portal.folder}/none"),
            (f"user -a --password-file {password} looks", REFUSED, "exists: the user looks is there already; -c changes it"),
            (f"user -a --password-file {password} --no-password x", USAGE, "one of -p, --password-file"),
            ("user -a --no-password 'two words'", INPUT, "has 1 to 64 letters"),
            (f"user -a --no-password {'x' * 65}", INPUT, "has 1 to 64 letters"),
            ("user -a --no-password local", INPUT, "is neither local nor eportald"),
            ("user -c --no-password looks", USAGE, "a password cannot be taken away"),
            ("user -c -r root looks", USAGE, "a role is admin or readonly, not 'root'"),
            ("user -c looks", NOTHING, "the user looks is so already"),
            ("user -c none", FAILED, "there is no user none; -a adds it"),
            ("user none", FAILED, "there is no user none"),
            ("user -d none", NOTHING, "there is no user none"),
            ("user -d", USAGE, "missing argument"),
            ("user -r admin", USAGE, "only -a and -c set something"),
            ("user -q", USAGE, "no option '-q'"),
            ("api-key -a none", FAILED, "not-found: there is no user none"),
            ("api-key -a", USAGE, "missing argument"),
            ("api-key -a robot --days 0", USAGE, "the number of days is a number from 1 on"),
            ("api-key -a robot --days 99999", INPUT, "days must be a number from 1 to"),
            ("api-key --days 3", USAGE, "--days and --note go with -a"),
            ("api-key -d none", NOTHING, "there is no API key none"),
            ("api-key none", FAILED, "there is no API key none"),
            ("api-key --colour", USAGE, "no option '--colour'")]:
        say(portal, command, code, out="", err=says)
    assert users(portal) == before
    say(portal, "user -d looks", out="user looks was removed, with its API keys\n")
    say(portal, "user -d robot")


# -------------------------------------------------------------------------------------------------- looking, and keeping safe

def test_doctor_and_audit(portal):
    key, away = portal.offline / "root.key", portal.folder / "root.key"
    bad = say(portal, "doctor", FAILED, err="1 of 8 checks: something is to be done")
    assert re.search(r"^BAD  repository +.*root.key is the root key.* move it", bad, re.M) and bad.count("BAD") == 1
    assert not shown_anyway(portal, "doctor --json")["ok"]
    key.rename(away)
    good = say(portal, "doctor --no-send")
    assert "BAD" not in good and shown(portal, "doctor --json")["ok"]
    away.rename(key)
    say(portal, "key -a audited")
    say(portal, "key -d audited")
    listed = rows(say(portal, "audit --limit 2"))
    assert [(row["WHO"], row["ACTION"], row["OBJECT"], row["OUTCOME"]) for row in listed] == \
        [("local", "key remove", "audited", "ok"), ("local", "key add", "audited", "ok")]
    assert rows(say(portal, "audit --limit 1 --offset 1")) == [listed[1]]
    assert shown(portal, "audit --json --limit 5") == portal.call("GET", "/admin/api/audit?limit=5").json["result"]
    for command, code, says in [
            ("doctor now", USAGE, "too many arguments: expected none"), ("doctor --all", USAGE, "no option '--all'"),
            ("audit all", USAGE, "too many arguments: expected none"), ("audit --limit 0", INPUT, "limit must be a number"),
            ("audit --offset x", INPUT, "offset must be a number"), ("audit --limit", USAGE, "needs a value")]:
        say(portal, command, code, out="", err=says)


def shown_anyway(portal, command):
    """JSON although something is to be done."""
    result = portal.kc(*shlex.split(command))
    assert result.code == FAILED, result
    return json.loads(result.out)


def test_backup_and_restore(portal, tmp_path):
    say(portal, "key -a kept")
    before = states(portal), keys(portal), feeds(portal)
    say(portal, f"backup {tmp_path}/all", out=f"{tmp_path}/all: the whole portal; it has secrets, keep it safe\n")
    say(portal, f"backup-db -v {tmp_path}/db", out=f"{tmp_path}/db: the database; it has secrets, keep it safe\n")
    assert (tmp_path / "all").stat().st_mode & 0o077 == 0 == (tmp_path / "db").stat().st_mode & 0o077
    say(portal, "key -d kept")
    say(portal, "feed -a later")
    say(portal, f"restore --db {tmp_path}/db", out=f"restored from {tmp_path}/db\n")
    assert keys(portal) == before[1] and "later" in feeds(portal)
    say(portal, "key -d kept")
    say(portal, f"restore --data {tmp_path}/all", out=f"restored from {tmp_path}/all\n")
    assert (states(portal), feeds(portal)) == (before[0], before[2]) and "kept" not in keys(portal)
    say(portal, f"restore --config {tmp_path}/all")
    (portal.data / "config").write_text("# changed\n")
    say(portal, f"restore --full {tmp_path}/all")
    assert (states(portal), keys(portal), feeds(portal)) == before and "LISTEN=" in (portal.data / "config").read_text()
    for command, code, says in [
            (f"backup {tmp_path}/all", REFUSED, f"exists: {tmp_path}/all is there already"),
            (f"backup-db {tmp_path}/db", REFUSED, f"exists: {tmp_path}/db is there already"),
            (f"backup {tmp_path}/none/all", INPUT, f"there is no folder {tmp_path}/none"),
            (f"backup-db {tmp_path}/none/db", INPUT, f"there is no folder {tmp_path}/none"),
            ("backup", USAGE, "missing argument: expected PATH"), (f"backup {tmp_path}/a b", USAGE, "too many arguments"),
            (f"backup --fast {tmp_path}/a", USAGE, "--fast"), ("backup-db", USAGE, "missing argument"),
            (f"restore {tmp_path}/all", USAGE, "say what to restore"), ("restore --full", USAGE, "missing argument"),
            (f"restore --some {tmp_path}/all", USAGE, "no option '--some'"),
            (f"restore --full {tmp_path}/none", FAILED, f"cannot read {tmp_path}/none"),
            (f"restore --full {tmp_path}/db", INPUT, "only a database can be a file"),
            (f"restore --db {MANUAL}", INPUT, "corrupt")]:
        say(portal, command, code, out="", err=says)
    assert (states(portal), keys(portal), feeds(portal)) == before
    say(portal, "key -d kept")


def test_hosts_check_in_meanwhile(portal, tmp_path):
    """Backups and restores while hosts come: each of them is answered, and none is taken for a copy of itself."""
    say(portal, "key -a busy")
    identities = [portal.register("busy", f"h{n}", f"m{n}").json for n in range(300)]
    answers, over = [], threading.Event()

    def check_in(identities):
        """In turn: one alone would be told that it comes too often."""
        for identity in itertools.cycle(identities):
            if over.is_set():
                return
            said = {name: identity[name] for name in ("server_id", "secret", "nonce")}
            answer = portal.call("POST", "/admin/api/kcare/checkin", {**said, "event": "periodic"}, user=None)
            answers.append((answer.status, answer.text))
            identity["nonce"] = answer.json.get("nonce", said["nonce"])

    hosts = [threading.Thread(target=check_in, args=(identities[n::3],)) for n in range(3)]
    for host in hosts:
        host.start()
    for n in range(2):
        say(portal, f"backup {tmp_path}/{n}")
        say(portal, f"backup-db {tmp_path}/{n}.db")
        say(portal, f"restore --full {tmp_path}/{n}")
        say(portal, f"restore --db {tmp_path}/{n}.db")
    over.set()
    for host in hosts:
        host.join()
    assert len(answers) > 10 and {status for status, _ in answers} == {200}, [text for status, text in answers if status != 200][:3]
    assert say(portal, "server --count --key busy") == "300\n"
    say(portal, "key -d busy")


def cut(path):
    """Not in place: it may be a link to the portal's own."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:len(content) // 2])


def test_backups_that_are_damaged(portal, tmp_path):
    """One error, which names the file of the backup, and all stays as it was."""
    assert portal.kc("kcare", "deploy", portal.folder / f"{K1}.tar.bz2").code in (DONE, NOTHING)
    say(portal, f"backup {tmp_path}/all")
    say(portal, "key -a kept")
    before = states(portal), keys(portal), feeds(portal), sorted(path.name for path in portal.data.iterdir())
    for damage, code, says in [
            (lambda at: cut(at / "portal.db"), INPUT, "/portal.db"),
            (lambda at: cut(at / "repository/private/repository.json"), INPUT, "/repository.json is damaged, or written by a newer"),
            (lambda at: cut(at / "repository/private/feeds/main.json"), INPUT, "/main.json"),
            (lambda at: (at / "repository/private/keys/targets.key").unlink(), INPUT, "/targets.key is missing"),
            (lambda at: [cut(blob) for blob in at.glob("repository/public/blobs/*/*")], INPUT, "the feed says"),
            (lambda at: shutil.rmtree(at / "repository/public/blobs"), INPUT, "kcare-repo verify"),
            (lambda at: (at / "config").write_text("LISTEN=here\n"), INPUT, "/config:1: LISTEN: 'here' is not ADDRESS:PORT"),
            (lambda at: (at / "config").write_text("\n\nLISTENS=1\n"), INPUT, "/config:3: there is no key LISTENS"),
            (lambda at: shutil.rmtree(at / "repository"), FAILED, " has no repository"),
            (lambda at: (at / "portal.db").unlink(), FAILED, "is no backup of a portal: it has no portal.db")]:
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "all", copy, symlinks=True)
        damage(copy)
        result = portal.kc("restore", "--full", copy)
        assert result.code == code and str(copy) in result.err and says in result.err, result
        assert len(result.err.splitlines()) == 1 and ".restored" not in result.err, result
        shutil.rmtree(copy)
    assert (states(portal), keys(portal), feeds(portal), sorted(path.name for path in portal.data.iterdir())) == before
    say(portal, "key -d kept")


# ------------------------------------------------------------------------------------------------ no portal, or not for everybody

def test_no_portal(build_folder, portal, tmp_path):
    def run(words, **options):
        return publishing.run(build_folder, "kc.eportal", *shlex.split(words), **options)

    for words, code, says in [
            (f"--data {tmp_path} server", NETWORK, f"eportald does not listen at {tmp_path}/socket"),
            (f"feed --socket {tmp_path}/none", NETWORK, f"eportald does not listen at {tmp_path}/none"),
            (f"kcare deploy --data={tmp_path} {portal.folder}/{K1}.tar.bz2", NETWORK, "eportald does not listen"),
            (f"--socket={MANUAL} key", INPUT, "is no socket"),
            (f"--socket /{'x' * 200} key", INPUT, "the path of a socket cannot be as long"),
            ("", USAGE, "a command is missing"),
            ("frob", USAGE, "there is no command 'frob'"),
            ("--frob", USAGE, "--frob")]:
        result = run(words)
        assert result.code == code and not result.out and says in result.err and len(result.err.splitlines()) == 1, result
    # a socket that nobody listens at any more
    (tmp_path / "data").mkdir()
    assert portal.stop(9) != 0
    try:
        result = portal.kc("server")
        assert result.code == NETWORK and "is it running?" in result.err, result
    finally:
        portal.start()
    assert run(f"--data {portal.data} server --count").out == run(f"server --count --socket {portal.data}/socket").out == "0\n"


def test_not_for_everybody(build_folder, portal):
    """The socket is for root and the portal's user."""
    need_root("a process of another user")
    # not below pytest's folder: another run of it closes that for other users
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        programs = folder / "src/cmd"
        programs.mkdir(parents=True)
        shutil.copy(build_folder / "src/cmd/kc.eportal", programs)
        refused_to_others(folder, Portal(build_folder, folder / "portal", author=portal.author))


def refused_to_others(programs, portal):
    with portal:
        result = publishing.run(programs, "kc.eportal", "--data", portal.data, "server", cwd="/",
                                prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert result.code == REFUSED and "permission: " in result.err and "is for root and the user of eportald" in result.err, result


# ---------------------------------------------------------------------------------------------------------- what the manual says

def runs_in_this_file():
    """Texts of this file that are command lines of kc.eportal, as words; what is put in is "X"."""
    found = []
    for node in ast.walk(ast.parse(pathlib.Path(__file__).read_text())):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        if all(isinstance(part, (ast.Constant, ast.FormattedValue)) for part in parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
            try:
                found.append(shlex.split(text))
            except ValueError:
                pass  # a text with an apostrophe
    return found


def synopsis():
    """[(commands, other words that are typed as they are)] of the manual's lines."""
    text = MANUAL.read_text().split("# SYNOPSIS")[1].split("# DESCRIPTION")[0]
    return [re.findall(r"\*([\w-]+)\*", line) for line in text.replace("kc.eportal*", "*").splitlines() if line]


def test_all_that_the_manual_has_is_run(build_folder):
    said = publishing.run(build_folder, "kc.eportal", "--help").out
    commands = set(re.findall(r"^  (\S+)", said, re.M))
    assert len(commands) > 12 and commands == {word for line in synopsis() for word in line if word in commands}
    runs = runs_in_this_file()
    for line in synopsis():
        for command in (word for word in line if word in commands):
            typed = {word for run in runs if command in run[:1] for word in run}
            assert typed, f"{command} is never run"
        typed = {word for run in runs if set(run[:1]) & set(line) for word in run}
        missing = {word for word in line if word not in typed and word not in commands}
        assert not missing, f"{line}: {missing}"
    older = re.findall(r"\*(--[\w-]+)\*", MANUAL.read_text().split("older forms work")[1].split("# EXIT STATUS")[0])
    assert len(older) == 6 and all(any(run[:1] == [option] for run in runs) for option in older)


def test_exit_codes_are_those_of_the_manual():
    documented = {int(code) for code in re.findall(r"^\*(\d)\*$", MANUAL.read_text().split("# EXIT STATUS")[1], re.M)}
    names = {"DONE", "FAILED", "INPUT", "NETWORK", "NOTHING", "REFUSED", "USAGE"}
    used = {node.id for node in ast.walk(ast.parse(pathlib.Path(__file__).read_text())) if isinstance(node, ast.Name)}
    assert names <= used and documented == {globals()[name] for name in names}
