# SPDX-License-Identifier: GPL-2.0-or-later
"""--userspace-update and --lib-update: from patchsets in a signed repository, over HTTP, into running processes."""

import json
import shutil
import time

import pytest

import lab
from conftest import ONE_FIXES, VALUE_FIXES
from lab import DONE, NETWORK, NOTHING, REFUSED
from publishing import Publisher
from test_server_host import Server, soon
from test_userspace_local import LocalHost, values
from web import Web

ORIGINAL, LEVEL_1, LEVEL_2 = (31, 1010), (32, 1011), (33, 1012)


class World:
    """A publisher, its web server, and a host in a PID namespace that follows."""

    def __init__(self, kcare, build, folder, namespace, make_patch, worker):
        self.kcare, self.make_patch, self.worker = kcare, make_patch, worker
        (folder / "publisher").mkdir()
        self.publisher = Publisher(build, folder / "publisher", author=kcare.keys)
        self.web = Web(self.publisher.public, folder / "web").start()
        self.host = LocalHost(kcare, build, folder / "host", namespace, publisher=self.publisher, url=self.web.url)
        self.archives = {}

    def patch_files(self, level, patchset, type="default", fixes=(VALUE_FIXES, ONE_FIXES)):
        extra = () if type == "default" else ("--type", type)
        elves = {id(VALUE_FIXES): "program", id(ONE_FIXES): "libone.so.1"}
        return [self.make_patch(self.worker, fix[level], elves[id(fix)], level, patchset, extra) for fix in fixes]

    def patchset(self, level, name=None, type="default", **options):
        """Level 1 or 2 of the program's and of the library's patch, in one patchset."""
        name = name or f"U20261123_0{level}"
        if name not in self.archives:
            files = self.patch_files(level, name, type, **options)
            self.archives[name] = self.publisher.patchset(name, files, type, released="2026-11-20")
        return self.archives[name]

    def deploy(self, level, feed="main", **options):
        self.publisher.deploy(self.patchset(level, **options), feed)

    def block(self, level, feed="main"):
        self.publisher.repo("block", f"U20261123_0{level}", "--feed", feed)

    def files(self):
        return sorted(path.name for path in self.host.current.glob("*.kpatch"))

    def withdrawn(self):
        path = self.host.current / "withdrawn"
        return [line for line in path.read_text().splitlines() if line[0] != "#"] if path.exists() else []

    def levels(self):
        state = json.loads((self.host.cache / "userspace/state.json").read_text())
        return {patch["object"]: patch["level"] for patch in state["patches"]}


@pytest.fixture
def world(kcare, build_folder, workshop, namespace, make_patch, worker, request):
    folder = workshop / f"world-{request.node.name[:40].translate(str.maketrans('[]/', '---'))}"
    folder.mkdir()
    made = World(kcare, build_folder, folder, namespace, make_patch, worker)
    yield made
    made.web.stop()


@pytest.fixture
def start(world, namespace, spawn, worker):
    return lambda: spawn(worker, wrapper=namespace.prefix)


def test_level_1_then_2_then_blocks(world, start):
    host, first = world.host, start()
    world.deploy(1)
    done = host.must("--userspace-update")
    assert done.out == (
        "Downloading updates\n"
        "The patches have been successfully applied to 1 newly discovered processes. The overall amount of applied patches "
        "is 2.\n"
        "Object `libone.so.1` is patched for 1 processes.\n"
        "Object `program` is patched for 1 processes.\n"
        "Userspace patches are applied.\n") and done.err == "", done
    assert values(first) == LEVEL_1 and len(world.files()) == 2

    second = start()
    world.web.requests()
    again = host.must("--userspace-update")
    assert again.out.startswith("Updates already downloaded\nThe patches have been successfully applied to 1 newly"), again
    assert values(second) == LEVEL_1
    asked = world.web.requests()
    assert len(asked) == 2 and ".root.json" in asked[0] and "timestamp.json" in asked[1], asked

    world.deploy(2)
    done = host.must("--userspace-update")
    assert done.out.startswith("Downloading updates\nThe patches have been successfully applied to 2 newly"), done
    assert values(first) == values(second) == LEVEL_2
    assert len(world.files()) == 2 and set(world.levels().values()) == {2}

    world.block(2)
    done = host.must("--userspace-update", "--auto")
    assert "libone.so.1: level 2 of U20261123_02 is blocked; level 1 takes its place\n" in done.out, done
    assert "program: level 2 of U20261123_02 is blocked; level 1 takes its place\n" in done.out, done
    assert values(first) == values(second) == LEVEL_1
    assert set(world.levels().values()) == {1} and len(world.withdrawn()) == 2
    for line in map(json.loads, host.must("--lib-info").out.splitlines()):
        assert line["program"]["patchlvl"] == 1 and "available" not in line["program"], "nobody is behind what is blocked"

    world.block(1)
    done = host.must("--userspace-update", "--auto")
    assert "program: level 1 of U20261123_01 is blocked, and there is no other to be had: its original code is put back\n" in done.out
    assert values(first) == values(second) == ORIGINAL
    lab.assert_original(first, world.worker.program)
    assert world.files() == [] and len(world.withdrawn()) == 4 and world.levels() == {}
    assert host.must("--userspace-update", code=NOTHING).err == "kcarectl: nothing-to-do: there are no patches for what runs here\n"
    assert (host.cache / "libcare_cvelist").read_text() == ""

    world.publisher.repo("enable", "U20261123_02", "--feed", "main")
    host.must("--userspace-update", "--auto")
    assert values(first) == LEVEL_2 and len(world.withdrawn()) == 2, "the block was lifted"


def test_a_busy_process_leaves_the_blocked_level_later(world, start, make_patch, worker):
    fix = lab.edit("hold.c", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 1;", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 2;")
    name = "U20261123_09"
    archive = world.publisher.patchset(name, [make_patch(worker, fix, "program", 1, name)], released="2026-11-20")
    world.publisher.deploy(archive)
    target = start()
    before = target.ask("hold plain")
    world.host.must("--userspace-update")
    assert target.ask("hold plain") == before + 1
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread blocks")
    world.publisher.repo("block", name, "--feed", "main")
    busy = world.host.must("--userspace-update", "--auto", code=lab.BUSY)
    assert "is blocked, and there is no other" in busy.out and "kcarectl: busy: pid " in busy.err, busy
    assert json.loads(world.host.must("--lib-info").out)["program"]["withdrawn"] is True
    target.ask("leave")
    target.ask("join")
    world.web.stop()
    world.host.must("--lib-update")
    assert target.ask("hold plain") == before, "what is blocked goes, with or without the server"


def test_unplugged(world, start):
    host, first = world.host, start()
    world.deploy(1)
    host.must("--userspace-update")
    world.web.stop()
    new = start()
    done = host.must("--lib-update")
    assert "kcarectl: warning: the patch server is not available, so this is what the host has already: " in done.err, done
    assert "applied to 1 newly discovered processes. The overall amount of applied patches is 4.\n" in done.out, done
    assert values(first) == values(new) == LEVEL_1
    newer = start()
    failed = host.must("--userspace-update", code=NETWORK)
    assert failed.err.startswith("kcarectl: network: ") and values(newer) == LEVEL_1, failed
    world.web.start()
    assert host.must("--userspace-update").out.startswith("Updates already downloaded\n")


def test_a_server_that_runs_gets_new_patches(world, start):
    """libcare-server reads the folder again, and patches a process that starts afterwards."""
    host = world.host
    as_host = type("AsHost", (), {"root": host.root, "bin": world.kcare.bin,
                                  "environment": dict(world.kcare.environment, KCARE_ROOT=str(host.root))})
    server = Server(as_host, host.current, prefix=host.prefix)
    try:
        first = start()
        world.deploy(1)
        host.must("--userspace-update")
        assert values(first) == LEVEL_1
        new = start()
        soon(new, "one 10", LEVEL_1[1])
        soon(new, "value 10", LEVEL_1[0])
        world.deploy(2)
        host.must("--userspace-update", "--auto")
        newer = start()
        soon(newer, "value 10", LEVEL_2[0])
        world.block(2)
        host.must("--userspace-update", "--auto")
        newest = start()
        soon(newest, "value 10", LEVEL_1[0])
        assert values(first) == values(newer) == LEVEL_1
        assert server.text().count("the patches were read again") == 3
        host.must("--userspace-update", "--auto")
        time.sleep(0.3)
        assert server.text().count("the patches were read again") == 3, "only when something changed"
    finally:
        server.stop()


def test_another_feed_never_lowers_by_itself(world, start):
    host, target = world.host, start()
    world.publisher.repo("feed", "add", "slow")
    world.deploy(1, feed="slow")
    world.deploy(1)
    world.deploy(2)
    host.must("--userspace-update")
    assert values(target) == LEVEL_2
    host.configure(PREFIX="slow")
    done = host.must("--userspace-update", "--auto")
    assert "program stays at level 2, although the configuration chooses a lower one: " in done.out, done
    assert values(target) == LEVEL_2 and set(world.levels().values()) == {2}
    done = host.must("--userspace-update")
    assert "program goes from level 2 down to level 1: so it is configured now\n" in done.out, done
    assert values(target) == LEVEL_1 and len(world.withdrawn()) == 2
    assert values(target) == LEVEL_1 and values_of_new(host, start) == LEVEL_1
    host.configure(PREFIX=None)
    host.must("--userspace-update", "--auto")
    assert values(target) == LEVEL_2 and world.withdrawn() == []


def values_of_new(host, start):
    new = start()
    host.must("--lib-update")
    return values(new)


def test_prefix_for_one_run(world, start):
    target = start()
    world.publisher.repo("feed", "add", "test")
    world.deploy(1)
    world.deploy(1, feed="test")
    world.deploy(2, feed="test")
    world.host.must("--userspace-update")
    assert values(target) == LEVEL_1
    world.host.must("--userspace-update", "--test")
    assert values(target) == LEVEL_2
    world.host.must("--userspace-update", "--prefix", "main")
    assert values(target) == LEVEL_1, "asked for, and another feed than the last time"


def test_undeployed_is_kept(world, start):
    target = start()
    world.deploy(1)
    world.deploy(2)
    world.host.must("--userspace-update")
    world.publisher.repo("undeploy", "U20261123_02", "--feed", "main")
    world.host.must("--userspace-update")
    assert values(target) == LEVEL_2 and values_of_new(world.host, start) == LEVEL_2
    world.publisher.repo("undeploy", "U20261123_01", "--feed", "main")
    world.host.must("--userspace-update")
    assert values(target) == LEVEL_2 and len(world.files()) == 2


def test_type(world, start):
    """extra where there is extra; a change of type is no step down, although its level is lower."""
    host, target = world.host, start()
    world.deploy(2)
    host.must("--userspace-update")
    assert values(target) == LEVEL_2
    extra = world.patchset(1, name="U20261123_03", type="extra", fixes=(VALUE_FIXES,))
    world.publisher.deploy(extra)
    host.must("--userspace-update")
    assert values(target) == LEVEL_2
    host.configure(PATCH_TYPE="extra")
    host.must("--userspace-update", "--auto")
    assert values(target) == (LEVEL_1[0], LEVEL_2[1]), "the library has no extra, and keeps default"


def test_kinds(world, start, worker):
    """Patchsets that end with -qemu are for QEMU, whatever they patch."""
    host, target = world.host, start()
    world.deploy(1, name="U20261123_01-qemu", fixes=(VALUE_FIXES,))
    world.deploy(1, name="U20261123_01", fixes=(ONE_FIXES,))
    host.must("--userspace-update", "libs")
    assert values(target) == (ORIGINAL[0], LEVEL_1[1])
    host.must("--userspace-update", "qemu")
    assert values(target) == LEVEL_1
    world.publisher.repo("block", "U20261123_01-qemu", "--feed", "main")
    host.must("--lib-update")
    assert values(target) == (ORIGINAL[0], LEVEL_1[1]), "a block counts for all"
    world.publisher.repo("enable", "U20261123_01-qemu", "--feed", "main")
    host.configure(USERSPACE_PATCHES="libs")
    host.must("--userspace-update")
    assert values(target) == (ORIGINAL[0], LEVEL_1[1])
    host.configure(USERSPACE_PATCHES="libs,qemu")
    host.must("--userspace-update")
    assert values(target) == LEVEL_1


def test_sticky_date_pin_and_delay(world, start):
    host, target = world.host, start()
    world.deploy(1)
    world.publisher.deploy(world.publisher.patchset("U20261123_02", world.patch_files(2, "U20261123_02"),
                                                    released="2026-11-22"))
    for settings in ({"STICKY_PATCH": "2026-11-21"}, {"STICKY_PATCHSET": "U20261123_01"}, {"UPDATE_DELAY": "365d"}):
        host.configure(**settings)
        host.must("--userspace-update", code=NOTHING if "UPDATE_DELAY" in settings else DONE)
        assert values(target) == (ORIGINAL if "UPDATE_DELAY" in settings else LEVEL_1), settings
        host.configure(**{key: None for key in settings})
        host.kcarectl("--lib-unload")
        shutil.rmtree(host.cache / "userspace")
    host.configure(AUTO_STICKY_PATCHSET="U20261123_01")
    host.must("--userspace-update", "--auto")
    assert values(target) == LEVEL_1
    host.must("--userspace-update")
    assert values(target) == LEVEL_2
    host.must("--userspace-update", "--auto")
    assert values(target) == LEVEL_2


def test_only_what_runs_is_downloaded(world, start):
    world.deploy(1)
    world.host.must("--userspace-update", code=NOTHING)
    assert world.files() == []
    assert not any("blobs" in line for line in world.web.requests())
    target = start()
    world.host.must("--userspace-update")
    assert values(target) == LEVEL_1
    assert sum("blobs" in line for line in world.web.requests()) == 2


def test_a_damaged_state_and_damaged_files_heal(world, start):
    host, target = world.host, start()
    world.deploy(1)
    world.deploy(2)
    host.must("--userspace-update")
    (host.cache / "userspace/state.json").write_text("{")
    done = host.must("--userspace-update")
    assert "state.json is damaged: it is written anew" in done.err and set(world.levels().values()) == {2}, done
    (host.cache / "userspace/state.json").unlink()
    world.publisher.repo("disable", "U20261123_02", "--feed", "main")
    host.must("--userspace-update", "--auto")
    assert values(target) == LEVEL_2 and set(world.levels().values()) == {2}, "the files themselves say their level"
    world.publisher.repo("enable", "U20261123_02", "--feed", "main")
    for path in host.current.glob("*.kpatch"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = host.must("--userspace-update")
    assert done.err.count("it is removed") == 2 and "Downloading updates" in done.out, done
    assert values_of_new(host, start) == LEVEL_2


def test_patches_of_another_author_are_refused(world, start):
    host, target = world.host, start()
    world.deploy(1)
    for key in (host.etc / "keys").iterdir():
        key.unlink()
    made = world.publisher.run("kcare-build", "keygen", world.publisher.folder / "other")
    assert made.code == DONE, made
    shutil.copy(next((world.publisher.folder / "other").glob("*.pub")), host.etc / "keys")
    refused = host.must("--userspace-update", code=REFUSED)
    assert "unknown-key" in refused.err and values(target) == ORIGINAL and world.files() == [], refused
    assert "unknown-key" in (host.root / "var/log/kcare/integrity.log").read_text()


def test_a_blob_that_is_missing_does_not_keep_the_other_away(world, start):
    host, target = world.host, start()
    world.deploy(1)
    library = world.patch_files(1, "U20261123_01", fixes=(ONE_FIXES,))[0].read_bytes()
    for blob in world.publisher.public.glob("blobs/*/*.kpatch"):
        if blob.read_bytes() == library:
            blob.write_bytes(library[:-1] + b"x")
    refused = host.must("--userspace-update", code=lab.INPUT)
    assert "kcarectl: corrupt: " in refused.err and len(world.files()) == 1, refused
    assert values(target) == (LEVEL_1[0], ORIGINAL[1])


def test_a_blob_that_is_lost_does_not_keep_the_other_away(world, start):
    host, target = world.host, start()
    world.deploy(1)
    lose(world, world.patch_files(1, "U20261123_01", fixes=(VALUE_FIXES,)))
    failed = host.must("--userspace-update", code=NETWORK)
    assert "kcarectl: server: " in failed.err and "does not have what its own list names" in failed.err, failed
    assert values(target) == (ORIGINAL[0], LEVEL_1[1]) and len(world.files()) == 1


def test_what_is_blocked_goes_although_the_other_is_lost(world, start):
    host, target = world.host, start()
    world.deploy(1)
    world.deploy(2)
    host.must("--userspace-update")
    assert values(target) == LEVEL_2
    lose(world, world.patch_files(1, "U20261123_01"))
    world.block(2)
    failed = host.must("--userspace-update", "--auto", code=NETWORK)
    assert "program: level 2 of U20261123_02 is blocked, and there is no other to be had: " in failed.out, failed
    assert values(target) == ORIGINAL and world.files() == [] and len(world.withdrawn()) == 2


def lose(world, files):
    """The server has these patch files no more."""
    contents = [path.read_bytes() for path in files]
    for blob in world.publisher.public.glob("blobs/*/*.kpatch"):
        if blob.read_bytes() in contents:
            blob.unlink()
