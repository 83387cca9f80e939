# SPDX-License-Identifier: GPL-2.0-or-later
"""kcare-repo is killed before every system call that changes what files there are, one run for each, in a fresh copy of a
repository. Behind each: hosts see what was before or what shall be, whole and verified; the next run, whatever it is,
completes what was begun, or it can be repeated; and nothing is left lying about. --long takes every point of all commands.
"""

import concurrent.futures
import json
import pathlib
import shutil
from dataclasses import dataclass

import pytest

import lab
from lab import DONE, NOTHING, REFUSED
from publishing import Publisher, kernel_patch, run
from test_repository import K1, K2, expect, shown

FIRST, SECOND = "K20261101_01", "K20261102_01"
KILLED = 137
WORKERS = 2
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # it cannot look for them while the program is traced


@dataclass
class Copy:
    """One of many copies of a repository."""

    build: pathlib.Path
    repository: pathlib.Path

    @property
    def public(self):
        return self.repository / "public"

    def repo(self, command, *args, **options):
        return run(self.build, "kcare-repo", command, self.repository, *args, **options)

    def seen(self):
        """What hosts see: by feed and kernel. What mirrors are told of is there."""
        feeds = [path.parent.parent.name for path in self.public.glob("feeds/*/metadata/timestamp.json")]
        assert set(json.loads((self.public / "feeds.json").read_text())["feeds"]) <= set(feeds)
        return {feed: (shown(self, K1, feed), shown(self, K2, feed)) for feed in feeds}

    def leftovers(self):
        found = [*self.repository.glob("private/incoming-*"), *self.repository.glob("private/removed-*"),
                 *self.repository.glob("private/unpublished/*"), *self.repository.glob("private/keys/next/*")]
        return [path.name for path in found]


@pytest.fixture(scope="module")
def template(build_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crash")
    made = Publisher(build_folder, folder)
    made.repo("feed", "add", "old")
    made.deploy(made.patchset(FIRST, [kernel_patch(1, K1), kernel_patch(1, K2)]))
    made.repo("enable", FIRST, "--feed", "old")
    made.patchset(SECOND, [kernel_patch(2, K1)])
    lab.call(["gcc", "-O2", "-D_GNU_SOURCE", str(lab.TARGETS / "kill_at.c"), "-o", str(folder / "kill_at")], folder)
    return made


def arguments(template, folder, name):
    """The command under the knife. A root key is made beside the one that signs, so each copy has its own."""
    keys = folder / "offline"
    return {
        "deploy": ["deploy", template.folder / f"{SECOND}.tar.bz2", "--feed", "main"],
        "block": ["block", FIRST, "--feed", "main"],
        "undeploy": ["undeploy", FIRST, "--feed", "main"],
        "refresh": ["refresh", "--all"],
        "feed-add": ["feed", "add", "new", "--from", "main"],
        "feed-remove": ["feed", "remove", "old"],
        "rotate-online": ["sign-root", "--rotate", "online", "--key", keys / "root.key"],
        "rotate-all": ["sign-root", "--rotate", "all", "--key", keys / "root.key", "--no-passphrase"],
    }[name]


def copy_of(template, folder):
    shutil.copytree(template.repository, folder / "repository", symlinks=True)
    shutil.copytree(template.offline, folder / "offline")
    return Copy(template.build, folder / "repository")


def verified(copy, when, codes=(DONE,)):
    result = copy.repo("verify")
    assert result.code in codes, f"{when}: {result}"
    if result.code == DONE:
        assert "all good" in result.out, f"{when}: {result}"


def shoot(template, folder, name, number, before, after):
    """False: the run came to its end before this number."""
    copy, when = copy_of(template, folder), f"{name} killed at {number}"
    command = arguments(template, folder, name)
    prefix = [template.folder / "kill_at", "-f", str(number)]
    killed = copy.repo(*command, prefix=prefix, env=NO_LEAKS)
    assert killed.code in (KILLED, DONE), f"{when}: {killed}"
    # between a new root and what its keys sign, which is a moment, hosts see a key that was replaced
    verified(copy, when, (DONE, REFUSED) if name.startswith("rotate") else (DONE,))
    seen = copy.seen()
    assert seen in (before, after), f"{when}: hosts see {seen}"
    result = copy.repo("refresh")
    assert result.code == DONE, f"{when}, then {result}"
    verified(copy, f"{when}, then a refresh")
    assert copy.seen() in (before, after) and not set(copy.leftovers()) - {"targets.key", "targets.pub", "snapshot.key",
                                                                          "snapshot.pub", "timestamp.key", "timestamp.pub"}
    if not name.startswith("rotate"):
        repeated = copy.repo(*command)
        is_over = repeated.code == NOTHING or (name.startswith("feed") and "there is " in repeated.err)
        assert repeated.code == DONE or is_over, f"{when}, then {repeated}"
        assert copy.seen() == after, f"{when}: not as wanted when it was repeated"
        assert not copy.leftovers(), f"{when}: {copy.leftovers()}"
    verified(copy, f"{when}, in the end")
    shutil.rmtree(folder)
    return killed.code == KILLED


@pytest.mark.parametrize("name", ["deploy", "block", "undeploy", "refresh", "feed-add", "feed-remove", "rotate-online", "rotate-all"])
def test_killed_at_every_change_of_a_file(template, tmp_path, name, long):
    untouched = copy_of(template, tmp_path / "before")
    before = untouched.seen()
    expect(untouched.repo(*arguments(template, tmp_path / "before", name)), DONE)
    after = untouched.seen()
    assert not untouched.leftovers() and (before != after or name in ("refresh", "rotate-online", "rotate-all"))
    step = 1 if long or name in ("deploy", "block") else 3
    first, n_killed, over = 1, 0, False
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        while not over:
            numbers = [first + i * step for i in range(2 * WORKERS)]
            results = list(pool.map(lambda n: shoot(template, tmp_path / str(n), name, n, before, after), numbers))
            n_killed += sum(results)
            over = not all(results)
            first = numbers[-1] + step
    assert n_killed >= 20 // step, f"only {n_killed} points"
