# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl on a host whose kernel has a patch, as far as its files tell: what --check and --status say then, and when an
update keeps that patch, or takes it out.

The kernel is played: a library in front of libc shows a livepatch and lets it be disabled. Nothing can be loaded into it; what
loading does is tested in a guest (tests/vm).
"""

import hashlib
import json
import pathlib
import shutil
import subprocess

import pytest

from conftest import need_root
from lab import DONE, NETWORK, NOTHING, REFUSED
from publishing import Host, Publisher, kernel_patch, running_kernel_id
from test_kcarectl_network import NEW, NOTHING_NEW, ago, downloaded, expect, state_of
from web import Web

LATEST, NEWER = 0, 2  # exit codes of --status

KERNEL = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *played(const char *path, char *buf, size_t size)
{
	static const char *const from[] = { "/sys/kernel/livepatch", "/proc/kcare" }, *const to[] = { "livepatch", "kcare" };

	for (int i = 0; i < 2; i++)
		if (!strncmp(path, from[i], strlen(from[i]))) {
			snprintf(buf, size, "%s/%s%s", getenv("PLAYED_KERNEL"), to[i], path + strlen(from[i]));
			return buf;
		}
	return path;
}

/* What the kernel does when somebody writes to `enabled`. */
static int disable(const char *path)
{
	char folder[600], aside[600], level[600];

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	snprintf(aside, sizeof(aside), "%s/disabled", getenv("PLAYED_KERNEL"));
	snprintf(level, sizeof(level), "%s/kcare/level", getenv("PLAYED_KERNEL"));
	rename(folder, aside);
	remove(level);
	return 1;
}

#define OPEN(name)                                                                          \
	int name(const char *path, int flags, ...)                                          \
	{                                                                                   \
		int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);              \
		char buf[600];                                                              \
		va_list args;                                                               \
		int mode;                                                                   \
                                                                                            \
		va_start(args, flags);                                                      \
		mode = va_arg(args, int);                                                   \
		va_end(args);                                                               \
		if (played(path, buf, sizeof(buf)) != path && flags & O_WRONLY && disable(buf)) \
			return next("/dev/null", flags);                                    \
		return next(played(path, buf, sizeof(buf)), flags, mode);                   \
	}

OPEN(open)
OPEN(open64)

DIR *opendir(const char *path)
{
	DIR *(*next)(const char *) = dlsym(RTLD_NEXT, "opendir");
	char buf[600];

	return next(played(path, buf, sizeof(buf)));
}
"""


@pytest.fixture(scope="session")
def play(workshop):
    source, library = workshop / "kernel.c", workshop / "kernel.so"
    source.write_text(KERNEL)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def original(build_folder, workshop):
    """Levels 1, 2 and 3 in main, of 30, 20 and 10 days ago, the feed test with 1 and 2, and an extra level 7."""
    publisher = Publisher(build_folder, workshop / "loaded")
    for level, days in ((1, 30), (2, 20), (3, 10)):
        publisher.deploy(publisher.patchset(f"K2026110{level}_01", [kernel_patch(level)], released=ago(days)))
    extra = [kernel_patch(7, type="extra")]
    publisher.deploy(publisher.patchset("K20261107_01", extra, type="extra", released=ago(5)))
    publisher.repo("feed", "add", "test", "--from", "main")
    publisher.repo("disable", "K20261103_01", "--feed", "test")
    return publisher


class Patched:
    """A host that follows a repository of its own, and the kernel it believes to have."""

    def __init__(self, build, original, folder, library):
        shutil.copytree(original.folder, folder / "publisher", symlinks=True)
        self.publisher = Publisher.__new__(Publisher)
        self.publisher.__dict__ = dict(original.__dict__, folder=folder / "publisher",
                                       repository=folder / "publisher/repository",
                                       offline=folder / "publisher/offline",
                                       public=folder / "publisher/repository/public")
        self.web = Web(self.publisher.public, folder / "web").start()
        self.host = Host(build, folder / "host", original, self.web.url)
        self.kernel = folder / "kernel"
        (self.kernel / "livepatch").mkdir(parents=True)
        (self.kernel / "kcare").mkdir()
        self.env = {"LD_PRELOAD": str(library), "PLAYED_KERNEL": str(self.kernel),
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def __call__(self, *args):
        return self.host.kcarectl(*args, env=self.env)

    def load(self, level, type="default", rules=None):
        """As an update leaves it that has loaded this level, by these rules."""
        expect(self("--check"), NEW)
        folder = self.kernel / "livepatch" / f"kcare_livepatch_{'' if type == 'default' else type + '_'}{level}"
        folder.mkdir()
        (folder / "enabled").write_text("1\n")
        (folder / "transition").write_text("0\n")
        (self.kernel / "kcare/level").write_text(f"{level}\n")
        state = state_of(self.host)
        state["applied"] = {
            "level": level, "type": type, "kernel_id": running_kernel_id(), "hash": self.hash(level, type),
            "origin": f"{state['checked']['root']}/main {rules or f'type={type}'}", "patchset": f"K2026110{level}_01",
            "effective_version": "6.1.0-fixed", "created": 1, "applied_at": 2,
            "boot_id": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
        self.write(state)

    def write(self, state):
        (self.host.cache / "kernel/state.json").write_text(json.dumps(state))

    def hash(self, level, type="default"):
        folder = self.publisher.folder / f"patches/K2026110{level}_01"
        return hashlib.sha256(next(folder.glob(f"*-{type}-{level}.kpatch")).read_bytes()).hexdigest()

    def levels(self):
        return [path.name for path in (self.kernel / "livepatch").iterdir()]

    def lose(self, level):
        """The server has no such patch file any more."""
        for blob in self.publisher.public.glob(f"blobs/*/{self.hash(level)}*"):
            blob.unlink()

    def block(self, *levels):
        for level in levels:
            self.publisher.repo("block", f"K2026110{level}_01", "--feed", "main")


@pytest.fixture
def patched(build_folder, original, tmp_path, play):
    need_root("files of /sys")
    made = Patched(build_folder, original, tmp_path, play)
    yield made
    made.web.stop()


# ---- looking and asking ----


def test_what_is_said_of_the_latest_level(patched):
    patched.load(3)
    expect(patched("--status"), LATEST, "Patch level 3 is applied. It is the latest for this kernel. Checked ")
    result = patched("--check")
    assert (result.code, result.out) == (NOTHING_NEW, "No new patches\n"), result
    result = patched("--update")
    assert (result.code, result.out) == (DONE, "Downloading updates\nKernel is safe\n"), result
    result = patched("--update")
    assert (result.code, result.out) == (DONE, "Updates already downloaded\nKernel is safe\n"), result
    assert patched.levels() == ["kcare_livepatch_3"]


def test_what_is_said_of_a_newer_level(patched):
    patched.load(2)
    expect(patched("--status"), NEWER, "Patch level 2 is applied. Patch level 3 (default) is available. Checked ")
    expect(patched("--check"), NEW, "Patch level 3 is available: K20261103_01\n")
    expect(patched("--info"), DONE, "kpatch-state: patch is applied\n", "kpatch-description: 2-:1;",
           "kpatch-note: patch level 3 (default) is available; 'kcarectl --update' applies it\n")


def test_what_is_said_of_a_blocked_level(patched):
    patched.load(3)
    patched.block(3)
    expect(patched("--check"), NEW, "The patch that is applied is blocked: 'kcarectl --update' goes to level 2\n")
    expect(patched("--status"), NEWER, "Patch level 3 is applied, but blocked: 'kcarectl --update' takes it out.")
    expect(patched("--info"), DONE, "kpatch-note: the patch is blocked; 'kcarectl --update' takes it out\n")
    patched.block(1, 2)
    expect(patched("--check"), NEW, "The patch that is applied is blocked: 'kcarectl --update' takes it out\n")
    assert patched.levels(), "a look has changed something"


# ---- never lower ----


@pytest.mark.parametrize("key,value", [("PREFIX", "test"), ("UPDATE_DELAY", "12d"), ("STICKY_PATCHSET", "K20261102_01")])
def test_a_lower_choice_is_for_who_asks(patched, key, value):
    patched.load(3)
    patched.host.configure(**{key: value})
    expect(patched("--status"), LATEST, "The configuration has changed since the last check")
    expect(patched("--check"), NEW, "The configuration has changed: 'kcarectl --update' goes down to patch level 2\n")
    result = patched("--auto-update", "-v")
    expect(result, DONE, "level 3 is in the kernel, which is newer than the one to be had (2); 'kcarectl --update' goes there")
    result = patched("--update")
    expect(result, REFUSED, "The configuration has changed: going from patch level 3 to 2\n")
    assert patched.levels() == ["kcare_livepatch_3"], "what cannot be loaded took away what was there"


def test_a_feed_that_changes_lowers_nothing(patched):
    patched.load(3)
    patched.publisher.repo("disable", "K20261103_01", "--feed", "main")
    for option in ("--auto-update", "--update"):
        result = patched(option)
        assert result.code == DONE and "going" not in result.out, result
    expect(patched("--check"), NOTHING_NEW, "No new patches\n")
    patched.publisher.repo("disable", "K20261102_01", "--feed", "main")
    patched.publisher.repo("disable", "K20261101_01", "--feed", "main")
    expect(patched("--update"), DONE, "Patch level 3 stays: there is none that this host should have instead\n")
    assert patched.levels() == ["kcare_livepatch_3"]


def test_what_a_feed_loses_after_the_host_came_to_it_lowers_nothing(patched):
    """The configuration changed long ago: since then the level was this feed's choice."""
    patched.load(3)
    patched.publisher.repo("enable", "K20261103_01", "--feed", "test")
    patched.host.configure(PREFIX="test")
    expect(patched("--update"), DONE, "Kernel is safe")
    assert state_of(patched.host)["applied"]["origin"].endswith("/test type=default")
    patched.publisher.repo("disable", "K20261103_01", "--feed", "test")
    result = patched("--update")
    assert result.code == DONE and "going" not in result.out, result


def test_a_feed_that_drops_a_type_takes_nothing_away(patched):
    patched.host.configure(PATCH_TYPE="extra")
    patched.load(7, "extra")
    expect(patched("--check"), NOTHING_NEW)
    patched.publisher.repo("disable", "K20261107_01", "--feed", "main")
    for option in ("--auto-update", "--update"):
        result = patched(option)
        assert result.code == DONE and "Patch level 3" not in result.out, result
    expect(patched("--check"), NOTHING_NEW, "No new patches\n")
    expect(patched("--status"), LATEST, "Patch level 7 is applied.")
    patched.host.configure(PATCH_TYPE="default")
    expect(patched("--check"), NEW, "Patch level 3 is available: K20261103_01\n")


# ---- what is blocked goes ----


def assert_taken_out(patched, result, code, *texts):
    expect(result, code, *texts, "kcare protection disabled. Your kernel might not be safe\n")
    assert patched.levels() == [] and "applied" not in state_of(patched.host), result
    assert not (patched.host.cache / "kernel/loading").exists()


@pytest.mark.parametrize("option", ["--auto-update", "--update"])
def test_without_another_level(patched, option):
    patched.load(3)
    patched.block(1, 2, 3)
    assert_taken_out(patched, patched(option), DONE, "Patch level 3 is blocked, and there is no other: taking it out\n")
    expect(patched(option), NOTHING, "none that this host may have now")
    expect(patched("--status"), 1, "No patches applied. The feed has patches for this kernel, but none that this host may")


def test_although_the_server_is_gone(patched):
    """The block was known; the level below is not in the cache."""
    patched.load(3)
    patched.block(3)
    expect(patched("--check"), NEW)
    patched.web.stop()
    assert_taken_out(patched, patched("--auto-update"), NETWORK, "kcarectl: network: ", "is blocked, and there is no other")


def test_although_the_server_has_lost_the_other(patched):
    patched.load(3)
    patched.block(3)
    patched.lose(2)
    assert_taken_out(patched, patched("--auto-update"), NETWORK, "the server does not have what its own list names")


def test_although_the_other_cannot_be_loaded(patched):
    patched.load(3)
    patched.block(3)
    assert_taken_out(patched, patched("--auto-update"), REFUSED, "Patch level 3 is blocked: going to level 2 (default)\n",
                     "Patch level 2 cannot be loaded: taking the blocked one out\n")
    assert downloaded(patched.host) == {"default": {2}}


def test_although_the_configuration_is_bad(patched):
    """STICKY_PATCH=KEY on a host without a key asks nobody; what is known counts."""
    patched.load(3)
    patched.block(3)
    expect(patched("--check"), NEW)
    patched.host.configure(STICKY_PATCH="KEY")
    assert_taken_out(patched, patched("--auto-update"), REFUSED, "this host is not registered")


def test_what_is_not_blocked_stays_whatever_fails(patched):
    patched.load(2)
    patched.lose(3)
    expect(patched("--auto-update"), NETWORK, "the server does not have what its own list names")
    patched.web.stop()
    expect(patched("--auto-update"), NETWORK, "network: ")
    assert patched.levels() == ["kcare_livepatch_2"]
