# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl on the network, where only a real kernel can tell: what --update does to it after a change of feed, type or date."""
import datetime
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

import lab
import marks
from outside import Outside, Problem

pytestmark = pytest.mark.guests("network")

# name in patches.toml: its patchset
PATCHSETS = {"mark-1": "K20261123_01", "mark-2": "K20261124_01", "extra-1": "K20261123_02"}
NOBODY = 65534


def days_ago(days):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)).strftime("%Y-%m-%d")


class Upstream:
    """The server that this host follows: a repository of its own for each test."""

    def __init__(self):
        self.outside = Outside()
        server = self.outside.begin()
        self.archives = {}
        (lab.CONFIG.parent / "root.json").write_text(server["root"])
        lab.CONFIG.write_text(f"PATCH_SERVER={server['server']}\n")

    def deploy(self, name, feed="main", days=3):
        """`days`: how long ago it was released."""
        if name not in self.archives:
            kind = ["--type", "extra"] if name.startswith("extra") else []
            self.archives[name] = self.outside.kernel_patchset(PATCHSETS[name], name, released=days_ago(days),
                                                               **({"type": kind[1]} if kind else {}))
        self.outside.repo("deploy", self.archives[name], "--feed", feed).ok()

    def feed(self, name):
        self.outside.repo("feed", "add", name).ok()

    def block(self, name):
        self.outside.repo("block", PATCHSETS[name], "--feed", "main").ok()


@pytest.fixture
def upstream(kcare):
    assert not lab.livepatches()
    return Upstream()


def configure(**values):
    lines = [line for line in lab.CONFIG.read_text().splitlines() if line.partition("=")[0] not in values]
    lab.CONFIG.write_text("".join(f"{line}\n" for line in lines + [f"{key}={value}" for key, value in values.items()]))


def test_this_guest_reaches_its_host_and_nothing_else():
    assert sorted(os.listdir("/sys/class/net")) == ["eth0", "lo"]
    with pytest.raises(Problem, match="does not know 'no_such_thing'"):
        Outside().no_such_thing()
    routes = pathlib.Path("/proc/net/route").read_text().splitlines()[1:]
    assert [line.split()[:2] for line in routes] == [["eth0", "0002000A"]], routes
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), 10)


def test_after_a_change_of_feed_only_an_explicit_update_lowers_and_says_so(kcare, upstream):
    upstream.feed("test")
    upstream.deploy("mark-1", "test", days=9)
    upstream.deploy("mark-1")
    upstream.deploy("mark-2")
    assert "Patch level 2 applied" in kcare("--update").ok().out
    assert marks.loadavg() == 2 and kcare("--status").code == 0
    configure(PREFIX="test")
    kcare("--auto-update")
    assert marks.loadavg() == 2, "an automatic run has lowered the level"
    result = kcare("--update").ok()
    assert marks.loadavg() == 1, str(result)
    assert "Patch level 1 applied" in result.out and "level 2" in result.out + result.err, str(result)
    assert kcare("--status").code == 0
    assert marks.loadavg() == 1 and kcare("--auto-update").code == 0 and marks.loadavg() == 1


def test_another_type_comes_with_the_update_that_asks_for_it(kcare, upstream):
    upstream.deploy("mark-2")
    upstream.deploy("extra-1")
    kcare("--update").ok()
    assert (marks.loadavg(), marks.softirqs()) == (2, False)
    result = kcare("--set-patch-type", "extra", "--update").ok()
    assert (marks.loadavg(), marks.softirqs()) == (1, True), str(result)
    assert "PATCH_TYPE=extra" in lab.CONFIG.read_text()
    assert kcare("--info", "--json").ok().out.count('"extra"') >= 1
    kcare("--set-patch-type", "default").ok()
    assert marks.softirqs(), "setting a type alone changes nothing in the kernel"
    kcare("--update").ok()
    assert (marks.loadavg(), marks.softirqs()) == (2, False)


def test_a_sticky_date_holds_an_old_level_until_it_is_taken_away(kcare, upstream):
    upstream.deploy("mark-1", days=20)
    upstream.deploy("mark-2", days=5)
    kcare("--update").ok()
    assert marks.loadavg() == 2
    kcare("--set-sticky-patch", days_ago(10)).ok()
    kcare("--auto-update")
    assert marks.loadavg() == 2, "an automatic run has lowered the level"
    assert "Patch level 1 applied" in kcare("--update").ok().out
    assert marks.loadavg() == 1
    kcare.unload()
    kcare("--auto-update").ok()
    assert marks.loadavg() == 1, "an automatic run does not know the date"
    kcare("--set-sticky-patch", "").ok()
    kcare("--auto-update").ok()
    assert marks.loadavg() == 2


@pytest.mark.parametrize("option", ["--auto-update", "--update"])
def test_a_blocked_level_without_another_one_is_taken_out(kcare, upstream, option):
    upstream.deploy("mark-1")
    kcare("--update").ok()
    assert marks.loadavg() == 1
    upstream.block("mark-1")
    result = kcare(option)
    assert marks.loadavg() is None and not lab.livepatches(), str(result)
    assert "blocked" in result.out + result.err, str(result)
    upstream.outside.kill_server()
    result = kcare("--smart-update")  # the next boot, without a server
    assert marks.loadavg() is None, f"the block was forgotten: {result}"


def test_at_boot_the_policy_says_where_the_patch_comes_from(kcare, upstream):
    boot = lab.unit_command("kcare.service")
    upstream.deploy("mark-1")
    configure(UPDATE_POLICY="LOCAL")
    upstream.outside.requests()
    assert kcare(*boot).code == lab.EXIT_NAMES.index("nothing") and marks.loadavg() is None
    assert upstream.outside.requests() == [], "LOCAL has asked the server"
    configure(UPDATE_POLICY="LOCAL_FIRST")
    kcare(*boot).ok()
    assert marks.loadavg() == 1 and upstream.outside.requests(), "nothing was cached, and the server not asked"
    kcare.unload()
    upstream.deploy("mark-2")
    for policy in ("LOCAL_FIRST", "LOCAL"):
        configure(UPDATE_POLICY=policy)
        upstream.outside.requests()
        kcare(*boot).ok()
        assert marks.loadavg() == 1, "the cache was not used first"
        assert upstream.outside.requests() == [], f"{policy} has asked the server"
        kcare.unload()
    configure(UPDATE_POLICY="REMOTE")
    kcare(*boot).ok()
    assert marks.loadavg() == 2
    kcare.unload()
    upstream.outside.kill_server()
    result = kcare(*boot).ok()
    assert marks.loadavg() == 2 and "taking what was chosen before" in result.err, str(result)


def test_what_is_swapped_in_the_cache_between_verification_and_load_is_not_loaded(kcare, upstream, patch, tmp_path):
    upstream.deploy("mark-1")
    trace = tmp_path / "trace"
    loading = subprocess.Popen(["strace", "-f", "-o", trace, "-e", "trace=init_module", "-e",
                                "inject=init_module:delay_enter=5000000", "kcarectl", "--update"])
    lab.wait_until(lambda: trace.exists() and "init_module" in trace.read_text(), 60, "the verified patch is being loaded")
    cached = [path for path in lab.CACHE.rglob("*.kpatch")]
    assert cached, "nothing is in the cache while it is loaded: this test shows nothing"
    for path in cached:
        shutil.copy(patch("mark-2"), path)
    assert loading.wait(60) == 0
    assert marks.loadavg() == 1, "what was loaded is not what was verified"
    kcare.unload()
    result = kcare("--auto-update")
    assert marks.loadavg() in (None, 1), f"a swapped file was loaded: {result}"
    assert lab.run("kcarectl", "--info").code == 0


def test_downloads_run_without_privileges(kcare, upstream):
    upstream.deploy("mark-1")
    upstream.outside.pause_server()
    checking = subprocess.Popen(["kcarectl", "--check"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lab.wait_until(fetchers, 30, "the download has begun")
        status = (fetchers()[0] / "status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(NOBODY)] * 4 and fields["Gid"].split() == [str(NOBODY)] * 4, status
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0 and fields["NoNewPrivs"] == "1", status
        assert fields["Groups"].strip() in ("", str(NOBODY)), status
    finally:
        upstream.outside.resume_server()
    assert checking.wait(60) == 0


def fetchers():
    """Folders in /proc of the helpers that have given their privileges away and wait for the server."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (path / "comm").read_text().strip() == "kcare-fetch" and "\t0\t" not in (path / "status").read_text():
                found.append(path)
        except OSError:  # it has ended
            pass
    return found
