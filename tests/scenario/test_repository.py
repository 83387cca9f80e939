# SPDX-License-Identifier: GPL-2.0-or-later
"""kcare-repo as an operator uses it: init, trust, deploy, feeds, enable, disable, block, undeploy, refresh. What hosts see
after each is read from the signed metadata; each way to fail has its exit code, says what to do and leaves nothing behind.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time

import pytest

from conftest import need_root
from lab import DONE, FAILED, INPUT, LOCKED, NOTHING, REFUSED, USAGE
from publishing import Publisher, clock, kernel_patch, user_patch

K1, K2 = "1234567890" * 4, "abcdef0123" * 4
FIRST, SECOND = "K20261101_01", "K20261102_01"
NOBODY = 65534
HOUR = 3600


@pytest.fixture
def publisher(build_folder, tmp_path):
    return Publisher(build_folder, tmp_path)


@pytest.fixture
def deployed(publisher):
    """FIRST: level 1 for two kernels, in main."""
    publisher.deploy(publisher.patchset(FIRST, [kernel_patch(1, K1), kernel_patch(1, K2)]))
    return publisher


def second(publisher):
    """Level 2 for one of them, not deployed."""
    return publisher.patchset(SECOND, [kernel_patch(2, K1)])


def repo(publisher, command, *args, **options):
    return publisher.run("kcare-repo", command, publisher.repository, *args, **options)


def expect(result, code, *texts):
    assert result.code == code, result
    for text in texts:
        assert text in result.out + result.err, f"'{text}' is not in {result}"


def signed(path):
    return json.loads(path.read_text())["signed"]


def metadata(publisher, feed, name):
    """A document as the timestamp leads to it."""
    folder = publisher.public / "feeds" / feed / "metadata"
    document = signed(folder / "timestamp.json")
    for step in ("snapshot.json", "targets.json"):
        if name == "timestamp.json":
            break
        document = signed(folder / f"{document['meta'][step]['version']}.{step}")
        if name == step:
            break
    return document


def shown(publisher, kernel=K1, feed="main"):
    """What hosts see for a kernel: {(level, patchset): blocked}, and how many of them a new patch is for."""
    target = metadata(publisher, feed, "targets.json")["targets"].get(f"kernel/{kernel}")
    if not target:
        return {}
    path = publisher.public / "feeds" / feed / f"targets/kernel/{target['hashes']['sha256']}.{kernel}"
    return {(e["level"], e["patchset"]): e.get("blocked", False) for e in json.loads(path.read_text())["entries"]}


def version(publisher, feed="main"):
    return metadata(publisher, feed, "timestamp.json")["version"]


def all_good(publisher, **options):
    result = repo(publisher, "verify", **options)
    expect(result, DONE, "all good")
    return result


def tree(folder):
    """{name: content} of all that is there, but for the lock."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*") if p.name != "lock"}


# ---- init and trust ----


def test_init_says_what_to_do_and_warns_while_the_root_key_is_here(build_folder, tmp_path):
    publisher = Publisher(build_folder, tmp_path)
    other = tmp_path / "other"
    done = publisher.run("kcare-repo", "init", other, "--keys", tmp_path / "usb", "--no-passphrase")
    expect(done, DONE, f"Move {tmp_path}/usb/root.key to a machine without a network", "Install ", "as /etc/sysconfig/kcare/root.json",
           f"Let a web server show {other}/public", f"'kcare-repo refresh {other}' every hour", "kcare-repo trust")
    assert (tmp_path / "usb/root.key").stat().st_mode & 0o777 == 0o600
    assert (other / "private").stat().st_mode & 0o777 == 0o700 and (other / "public").stat().st_mode & 0o777 == 0o755
    assert not [p for p in (other / "public").rglob("*") if p.suffix == ".key" or p.is_file() and b"PRIVATE" in p.read_bytes()]
    shutil.copy(publisher.author / "author.key", other / "private/author.key")
    shutil.copy(publisher.author / "author.pub", other / "private/author.pub")
    expect(publisher.run("kcare-repo", "trust", other, "--author", publisher.author / "author.pub"), DONE)
    expect(publisher.run("kcare-repo", "refresh", other), DONE, "root.key is the root key: whoever breaks in here",
           "author.key is an author's private key", "move it to a machine without a network")
    (tmp_path / "usb/root.key").rename(tmp_path / "elsewhere.key")
    (other / "private/author.key").unlink()
    result = publisher.run("kcare-repo", "refresh", other)
    assert result.code == DONE and not result.err, result
    # the root key is needed by nothing that is done each day
    expect(publisher.run("kcare-repo", "deploy", other, publisher.patchset(FIRST, [kernel_patch(1, K1)]), "--feed", "main"), DONE)


def test_init_refuses_and_leaves_nothing_behind(publisher, tmp_path):
    place, keys = tmp_path / "new", tmp_path / "new-keys"

    def init(*args):
        return publisher.run("kcare-repo", "init", *args, "--no-passphrase")

    expect(init(publisher.repository, "--keys", keys), REFUSED, "is not empty: a new repository needs a new folder")
    expect(init(place, "--keys", publisher.offline), REFUSED, "root.key exists already; it is never overwritten")
    expect(init(place, "--keys", place / "private/keys"), REFUSED, "is inside the repository")
    expect(init(place, "--keys", place), REFUSED, "is inside the repository")
    (tmp_path / "way").symlink_to(place)
    expect(init(place, "--keys", tmp_path / "way/keys"), REFUSED, "is inside the repository")
    expect(init(place, "--keys", keys, "--author", tmp_path / "nobody.pub"), INPUT, "cannot read the author's public key")
    expect(init(place, "--keys", keys, "--author", publisher.author / "author.key"), INPUT, "not a public key")
    expect(init(place, "--keys", ""), FAILED, "cannot")
    expect(publisher.run("kcare-repo", "init", place), USAGE, "--keys")
    expect(publisher.run("kcare-repo", "init", place, "--keys", keys, "--passphrase-file", "/nowhere"), INPUT, "/nowhere")
    assert not place.exists() and not keys.exists()
    expect(init(place, "--keys", keys), DONE)


def test_only_authors_who_are_trusted(publisher, build_folder, tmp_path):
    stranger = Publisher(build_folder, tmp_path / "stranger")
    archive = stranger.patchset(FIRST, [kernel_patch(1, K1)])
    before = tree(publisher.repository)
    expect(repo(publisher, "deploy", archive, "--feed", "main"), REFUSED, "unknown-key: ")
    assert tree(publisher.repository) == before
    expect(repo(publisher, "trust", "--author", stranger.author / "author.pub"), DONE, "are taken from now on")
    expect(repo(publisher, "deploy", archive, "--feed", "main"), DONE)
    (nobody,) = [p for p in (publisher.repository / "private/authors").iterdir()][:1]
    for path in (publisher.repository / "private/authors").iterdir():
        path.unlink()
    expect(repo(publisher, "deploy", second(publisher), "--feed", "main"), REFUSED, "no author is trusted here", "kcare-repo trust")
    assert nobody.suffix == ".pub"


# ---- deploy ----


def test_deploy_shows_it_at_once(deployed):
    assert shown(deployed) == {(1, FIRST): False} == shown(deployed, K2)
    expect(repo(deployed, "deploy", second(deployed), "--feed", "main"), DONE, "deployed to main: 1 target changed, 1 new patch file\n")
    assert shown(deployed) == {(1, FIRST): False, (2, SECOND): False}
    assert shown(deployed, K2) == {(1, FIRST): False}
    expect(all_good(deployed), DONE, "1 feed, 2 targets, 3 patch files")
    assert not list((deployed.repository / "private").glob("incoming-*"))


def test_a_disabled_patchset_is_seen_by_nobody(deployed):
    before = version(deployed), shown(deployed)
    expect(repo(deployed, "deploy", second(deployed), "--feed", "main", "--disabled"), DONE, "deployed, disabled, to main: 0 targets")
    assert shown(deployed) == before[1]
    expect(repo(deployed, "feed", "list"), DONE, f"  {SECOND}         disabled 100 %")
    expect(repo(deployed, "enable", SECOND, "--feed", "main", "--rollout", "25"), DONE, f"{SECOND} was enabled in main: 1 target changed")
    assert (2, SECOND) in shown(deployed) and version(deployed) > before[0]
    expect(repo(deployed, "feed", "list"), DONE, f"  {SECOND}         enabled   25 %")


def test_what_deploy_refuses(deployed, build_folder, tmp_path):
    archive, before = second(deployed), tree(deployed.repository)
    first = deployed.folder / f"{FIRST}.tar.bz2"
    for args, code, text in [
        ([first, "--feed", "main"], NOTHING, "the feed main has K20261101_01 already; it is enabled"),
        ([archive], USAGE, "--feed main"),
        ([archive, "--feed", "nope"], FAILED, "there is no feed 'nope', only: main"),
        ([archive, "--feed", "../main"], FAILED, "there is no feed"),
        ([archive, "--feed", "main", "--rollout", "101"], USAGE, "1 to 100 per cent"),
        ([archive, "--feed", "main", "--rollout", "0"], USAGE, "rollout"),
        (["/nowhere", "--feed", "main"], INPUT, "cannot open /nowhere"),
        ([tmp_path, "--feed", "main"], REFUSED, "not a file"),
        (["/dev/zero", "--feed", "main"], REFUSED, "not a file"),
        ([deployed.root_json, "--feed", "main"], REFUSED, "not an archive of a patchset"),
        ([], USAGE, "DIR and ARCHIVE"),
    ]:
        expect(repo(deployed, "deploy", *args), code, text)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    expect(repo(deployed, "deploy", fifo, "--feed", "main", timeout=20), REFUSED, "not a file")
    cut = tmp_path / "cut.tar.bz2"
    cut.write_bytes(archive.read_bytes()[:-20])
    expect(repo(deployed, "deploy", cut, "--feed", "main"), INPUT, "cut short")
    # another list under a name that is taken, and another patch for a level that is taken
    author = Publisher(build_folder, tmp_path / "same-author", deployed.author)
    expect(repo(deployed, "deploy", author.patchset(FIRST, [kernel_patch(3, K1)]), "--feed", "main"), REFUSED,
           "another patchset by the name of K20261101_01: give the new one the next number")
    expect(repo(deployed, "deploy", author.patchset("K20261103_01", [kernel_patch(1, K2)]), "--feed", "main"), REFUSED,
           f"the feed main has level 1 (default) for {K2} already, by {FIRST}", "needs a higher level")
    assert tree(deployed.repository) == before


def test_a_folder_that_is_no_repository(deployed, tmp_path):
    archive = deployed.folder / f"{FIRST}.tar.bz2"
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "nowhere", archive):
        for command in (["deploy", place, archive, "--feed", "main"], ["feed", place, "list"], ["refresh", place],
                        ["block", place, FIRST, "--feed", "main"]):
            expect(deployed.run("kcare-repo", *command), INPUT, f"{place} is not a repository", "'kcare-repo init' makes one")
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:20]),
                                   lambda path: path.write_bytes(b"[" * 100000), lambda path: (path.unlink(), path.mkdir())],
                         ids=["empty", "cut", "nonsense", "folder"])
@pytest.mark.parametrize("name", ["repository.json", "feeds/main.json", "roots/1.root.json", "keys/timestamp.key"])
def test_damaged_files_of_ours_are_named(deployed, name, spoil):
    path = deployed.repository / "private" / name
    before = tree(deployed.public)
    spoil(path)
    result = repo(deployed, "refresh")
    assert result.code in (FAILED, INPUT, REFUSED), result
    assert path.name in result.err, result
    assert tree(deployed.public) == before, "hosts see something else"


def blob_of(publisher, kernel):
    """Where hosts find FIRST's patch file for a kernel."""
    file, = (publisher.folder / "patches" / FIRST).glob(f"*{kernel[:12]}*")
    blob, = (publisher.public / "blobs").rglob(f"{hashlib.sha256(file.read_bytes()).hexdigest()}.kpatch")
    return blob


def test_what_was_lost_comes_back_with_the_archive(deployed):
    archive = deployed.folder / f"{FIRST}.tar.bz2"
    lost, damaged = (blob_of(deployed, kernel) for kernel in (K1, K2))  # the first one gives the exit code
    good = damaged.read_bytes()
    lost.unlink()
    damaged.write_bytes(good[:-1] + b"x")
    (deployed.repository / f"private/patchsets/{FIRST}.json").unlink()
    expect(repo(deployed, "verify"), FAILED, lost.name, damaged.name)
    expect(repo(deployed, "deploy", archive, "--feed", "main"), DONE, "0 targets changed, 2 new patch files")
    assert damaged.read_bytes() == good and lost.exists()
    all_good(deployed)
    expect(repo(deployed, "deploy", archive, "--feed", "main"), NOTHING, "has K20261101_01 already")


# ---- feeds and states ----


def test_promotion_block_and_undeploy(deployed):
    expect(repo(deployed, "feed", "add", "test", "--from", "main", "--note", "first"), DONE, "with the patchsets of main")
    deployed.deploy(second(deployed), "test")
    assert (2, SECOND) in shown(deployed, feed="test") and (2, SECOND) not in shown(deployed)
    expect(repo(deployed, "enable", SECOND, "--feed", "main"), DONE, f"{SECOND} was enabled in main: 1 target changed\n")
    assert shown(deployed) == shown(deployed, feed="test")
    expect(repo(deployed, "block", SECOND, "--feed", "main"), DONE, f"{SECOND} was blocked in main: 1 target changed")
    assert shown(deployed)[2, SECOND] and not shown(deployed, feed="test")[2, SECOND]
    expect(repo(deployed, "block", SECOND, "--feed", "main"), NOTHING, "is blocked in the feed main already")
    expect(repo(deployed, "enable", SECOND, "--feed", "main"), DONE)
    assert not shown(deployed)[2, SECOND]
    expect(repo(deployed, "disable", SECOND, "--feed", "main"), DONE, f"{SECOND} was disabled in main: 1 target changed")
    assert (2, SECOND) not in shown(deployed)
    for feed, is_there in (("main", True), ("test", False)):
        expect(repo(deployed, "undeploy", SECOND, "--feed", feed), DONE, f"{SECOND} was undeployed from {feed}")
        assert (deployed.repository / f"private/patchsets/{SECOND}.json").exists() == is_there
        all_good(deployed)
    expect(repo(deployed, "undeploy", SECOND, "--feed", "main"), NOTHING, "does not have")
    expect(repo(deployed, "block", SECOND, "--feed", "main"), FAILED, "the repository has no patchset", "'deploy' brings its archive")
    expect(repo(deployed, "enable", "../../x", "--feed", "main"), FAILED, "the repository has no patchset")
    deployed.repo("feed", "add", "empty")
    expect(repo(deployed, "block", FIRST, "--feed", "empty"), FAILED, "the feed empty does not have")


def test_feeds(deployed):
    expect(repo(deployed, "feed", "add", "beta", "--auto", "--deploy-after", "24", "--channel", "test", "--note", "x"), DONE)
    (beta, main) = json.loads(repo(deployed, "feed", "list", "--json").out)
    assert beta == {"name": "beta", "auto": True, "deploy_after": 24, "channel": "test", "note": "x", "patchsets": [],
                    "undeployed": []}
    assert main["patchsets"][0]["name"] == FIRST and main["patchsets"][0]["state"] == "enabled"
    expect(repo(deployed, "feed", "change", "beta", "--no-auto", "--note", "y"), DONE, "feed beta was changed")
    beta = json.loads(repo(deployed, "feed", "list", "--json").out)[0]
    assert (beta["auto"], beta["deploy_after"], beta["channel"], beta["note"]) == (False, 24, "test", "y")
    expect(repo(deployed, "feed", "list"), DONE, "beta  # y\n", "main\n")
    for args, code, text in [
        (["add", "beta"], REFUSED, "there is a feed 'beta' already"),
        (["add", "24h"], USAGE, "12h, 24h and 48h are delays"),
        (["add", "../x"], USAGE, "is no name for a feed"),
        (["add", "x" * 65], USAGE, "is no name for a feed"),
        (["add", "blobs"], USAGE, "other files there"),
        (["add", "new", "--from", "nope"], FAILED, "there is no feed 'nope'"),
        (["add", "new", "--channel", "x"], USAGE, "default, test or unstable"),
        (["add", "new", "--note", "a\nb"], USAGE, "one line"),
        (["add", "new", "--deploy-after", "-1"], USAGE, "hours"),
        (["add", "new", "--json"], USAGE, "does not take one of these options"),
        (["list", "--note", "x"], USAGE, "does not take one of these options"),
        (["change", "nope"], FAILED, "there is no feed 'nope'"),
        (["remove", "main"], REFUSED, "always exists"),
        (["remove", "nope"], FAILED, "there is no feed"),
        (["paint", "beta"], USAGE, "not 'paint'"),
        (["add"], USAGE, "NAME"),
    ]:
        expect(repo(deployed, "feed", *args), code, text)
    expect(repo(deployed, "feed", "remove", "beta"), DONE, "feed beta was removed")
    assert not (deployed.public / "feeds/beta").exists() and not (deployed.public / "beta").exists()
    assert json.loads((deployed.public / "feeds.json").read_text()) == {"feeds": ["main"]}
    expect(all_good(deployed), DONE, "1 feed,")


# ---- refresh ----


@pytest.fixture
def later(tmp_path):
    """The environment of a program for which so many seconds have passed."""
    return clock(tmp_path)


def versions(publisher):
    return {name: metadata(publisher, "main", name)["version"] for name in ("timestamp.json", "snapshot.json", "targets.json")}


def test_refresh_signs_only_what_is_due(deployed, later):
    first = versions(deployed)
    expect(repo(deployed, "refresh", env=later(HOUR)), DONE)
    hour = versions(deployed)
    # what is published several times within a second has versions that are ahead of the clock
    assert hour["timestamp.json"] >= first["timestamp.json"] + HOUR - 10
    assert {k: v for k, v in hour.items() if k != "timestamp.json"} == {k: v for k, v in first.items() if k != "timestamp.json"}
    expect(repo(deployed, "refresh", "--all", env=later(HOUR)), DONE)
    assert len(set(versions(deployed).values())) == 1
    # each hour for eight days: snapshot and targets are renewed when half of their 14 days is over
    for hours in range(2, 8 * 24, 2):
        assert repo(deployed, "refresh", env=later(hours * HOUR)).code == DONE
        if hours == 6 * 24:
            assert versions(deployed)["targets.json"] < versions(deployed)["timestamp.json"] - 4 * 24 * HOUR
    assert versions(deployed)["targets.json"] > first["targets.json"] + 6 * 24 * HOUR
    # a machine that was off, or a backup from before: hosts may have seen versions that are not known here
    expect(repo(deployed, "refresh", env=later(9 * 24 * HOUR)), DONE)
    assert len(set(versions(deployed).values())) == 1


def test_a_clock_that_was_set_back(deployed, later):
    expect(repo(deployed, "refresh", env=later(400 * 24 * HOUR)), DONE)
    before = tree(deployed.public)
    expect(repo(deployed, "refresh"), REFUSED, "clock: feed main: the clock of this machine is", "set it")
    assert tree(deployed.public) == before


def test_refresh_removes_what_nothing_needs(deployed, later):
    archive = second(deployed)
    deployed.deploy(archive)
    expect(repo(deployed, "undeploy", SECOND, "--feed", "main"), DONE)
    old = {p.name for p in (deployed.public / "feeds/main").rglob("*") if p.is_file()}
    blobs = set((deployed.public / "blobs").rglob("*.kpatch"))
    assert len(blobs) == 3
    expect(repo(deployed, "refresh"), DONE)
    expect(repo(deployed, "refresh", env=later(23 * HOUR)), DONE)
    assert set((deployed.public / "blobs").rglob("*.kpatch")) == blobs, "a host may be at work with it"
    expect(repo(deployed, "refresh", env=later(25 * HOUR)), DONE)
    assert len(list((deployed.public / "blobs").rglob("*.kpatch"))) == 2
    left = {p.name for p in (deployed.public / "feeds/main").rglob("*") if p.is_file()}
    assert sum(name.endswith(K1) for name in old) == 2 and sum(name.endswith(K1) for name in left) == 1
    snapshots = [name for name in old if name.endswith(".snapshot.json")]
    assert len(snapshots) > 2 and sum(name in left for name in snapshots) == 1, "one was in use until two hours ago"
    assert "nothing refers to" not in all_good(deployed, env=later(25 * HOUR)).out


# ---- when something stands in the way ----


def half_published(publisher, feed="main"):
    """What a run leaves that was killed between its change and its publication: SECOND, blocked by FIRST's author in haste."""
    path = publisher.repository / f"private/feeds/{feed}.json"
    content = json.loads(path.read_text())
    content["patchsets"][0]["state"] = "blocked"
    (publisher.repository / "private/unpublished").mkdir(exist_ok=True)
    (publisher.repository / f"private/unpublished/{feed}").touch()
    path.write_text(json.dumps(content))


def test_refresh_publishes_what_a_killed_run_left(deployed):
    half_published(deployed)
    assert not shown(deployed)[1, FIRST]
    expect(repo(deployed, "refresh"), DONE)
    assert shown(deployed)[1, FIRST], "a block that no host hears of"
    assert not list((deployed.repository / "private/unpublished").iterdir())
    all_good(deployed)


def test_one_feed_that_cannot_be_published(deployed):
    """The list of a patchset is lost: refresh keeps what hosts see alive and fails; any of the three ways out works."""
    deployed.repo("feed", "add", "test")
    deployed.deploy(second(deployed), "main")
    archive = deployed.folder / f"{SECOND}.tar.bz2"
    for suffix in ("json", "table"):
        (deployed.repository / f"private/patchsets/{SECOND}.{suffix}").unlink()
    before = version(deployed), version(deployed, "test")
    expect(repo(deployed, "block", FIRST, "--feed", "main"), FAILED, "the change is stored, but hosts still see what was before",
           "restore it from a backup, or deploy its archive again")
    assert not shown(deployed)[1, FIRST]
    expect(repo(deployed, "refresh"), FAILED, "the feed main has a change that hosts do not see yet")
    assert version(deployed) > before[0] and version(deployed, "test") > before[1], "hosts would call it frozen"
    expect(repo(deployed, "enable", FIRST, "--feed", "test"), DONE, "warning: the feed main has a change")
    expect(repo(deployed, "deploy", archive, "--feed", "main"), DONE)
    assert shown(deployed)[1, FIRST], "the block was published with what came back"
    all_good(deployed)
    expect(repo(deployed, "enable", FIRST, "--feed", "main"), DONE)
    for suffix in ("json", "table"):
        (deployed.repository / f"private/patchsets/{SECOND}.{suffix}").unlink()
    expect(repo(deployed, "block", FIRST, "--feed", "main"), FAILED)
    expect(repo(deployed, "undeploy", SECOND, "--feed", "main"), DONE)
    assert shown(deployed) == {(1, FIRST): True}
    all_good(deployed)


def test_a_full_disk_loses_nothing(deployed, tmp_path):
    need_root("mounting a small disk")
    archive = deployed.patchset(SECOND, [kernel_patch(2, K1), kernel_patch(2, K2)], size=300_000)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "none", small], check=True)
    try:
        shutil.copytree(deployed.repository, small / "repository", symlinks=True)
        place = small / "repository"
        before = tree(place / "public")
        expect(deployed.run("kcare-repo", "deploy", place, archive, "--feed", "main"), FAILED, "No space left on device")
        assert tree(place / "public") == before and not list((place / "private").glob("incoming-*"))
        filler = small / "filler"
        with pytest.raises(OSError), filler.open("wb", buffering=0) as out:
            while True:
                out.write(b"x" * 4096)
        expect(deployed.run("kcare-repo", "block", place, FIRST, "--feed", "main"), FAILED, "No space left on device", "make room")
        expect(deployed.run("kcare-repo", "refresh", place), FAILED, "No space left on device", "make room")
        expect(deployed.run("kcare-repo", "verify", place, env={"TMPDIR": str(tmp_path)}), DONE, "all good")
        filler.unlink()
        expect(deployed.run("kcare-repo", "block", place, FIRST, "--feed", "main"), DONE)
        expect(deployed.run("kcare-repo", "verify", place), DONE, "all good")
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_folder_that_cannot_be_written(deployed, tmp_path):
    need_root("becoming somebody else, and mounting")
    mine = {"user": NOBODY, "group": NOBODY}
    expect(repo(deployed, "refresh", cwd="/", **mine), FAILED, "Permission denied")
    subprocess.run(["mount", "--bind", deployed.repository, deployed.repository], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", deployed.repository], check=True)
        before = tree(deployed.repository)
        for command in (["refresh"], ["deploy", second(deployed), "--feed", "main"], ["block", FIRST, "--feed", "main"]):
            expect(repo(deployed, *command), FAILED, "Read-only file system")
        expect(repo(deployed, "verify"), DONE, "all good")
        assert tree(deployed.repository) == before
    finally:
        subprocess.run(["umount", "-l", deployed.repository], check=True)


def test_two_at_once(deployed):
    """One waits for the other; both are done. Who waits too long says so."""
    archives = [deployed.patchset(f"U202611{n:02}_01", [user_patch(1, f"{n:02x}" * 20)]) for n in range(1, 4)]
    program = deployed.build / "src/cmd/kcare-repo"
    runs = [subprocess.Popen([program, "deploy", deployed.repository, archive, "--feed", "main"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for archive in archives]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == DONE, (out, err)
    names = [p["name"] for p in json.loads(repo(deployed, "feed", "list", "--json").out)[0]["patchsets"]]
    assert sorted(names) == sorted([FIRST, *(a.name.removesuffix(".tar.bz2") for a in archives)])
    all_good(deployed)
    holder = subprocess.Popen(["flock", deployed.repository / "private/lock", "sleep", "60"])
    try:
        time.sleep(0.5)
        expect(repo(deployed, "refresh"), LOCKED, "another run of kcare-repo holds", "for 30 s")
    finally:
        subprocess.run(["pkill", "-P", str(holder.pid)], check=False)
        holder.kill()
        holder.wait()


def test_whoever_writes_to_public_does_not_get_a_signature(deployed):
    """A list, and metadata that names it, by a stranger's key: they are replaced, not signed."""
    folder = deployed.public / "feeds/main/metadata"
    targets = folder / f"{metadata(deployed, 'main', 'snapshot.json')['meta']['targets.json']['version']}.targets.json"
    evil = targets.read_text().replace(K1, "f" * 40)
    targets.write_text(evil)
    expect(repo(deployed, "verify"), REFUSED, "mixed: feed main: ")
    expect(repo(deployed, "deploy", second(deployed), "--feed", "main"), DONE, "is damaged", "made anew")
    assert f"kernel/{'f' * 40}" not in metadata(deployed, "main", "targets.json")["targets"]
    assert shown(deployed) == {(1, FIRST): False, (2, SECOND): False}
    all_good(deployed)
