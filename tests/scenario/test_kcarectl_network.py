# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl and a patch server: what it asks, chooses, keeps, says and returns; and what it withstands.

The patch files are nobody's code, so no kernel takes them: an update gets as far as loading, is refused there (exit code 5),
and its downloads are in the cache. What loading does with the choice is tested in a guest (tests/vm).
"""

import copy
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest

from conftest import need_root
from lab import DONE, INPUT, LOCKED, NETWORK, NOTHING, REFUSED, USAGE, free_port
from publishing import Host, Publisher, clock, kernel_patch, running_kernel_id
from web import Web

NEW, NOTHING_NEW = 0, 1  # exit codes of --check
NO_PATCHES, UNSUPPORTED = 1, 3  # … and of --status
NOBODY = 65534
DAY = 86400


def ago(days):
    return f"@{int(time.time() - days * DAY)}"


def day(days):
    """The UTC day so many days ago, as sticky dates have it."""
    return time.strftime("%d%m%Y", time.gmtime(time.time() - days * DAY))


def copy_of(publisher, folder):
    """Another repository with the same content, to be changed."""
    shutil.copytree(publisher.folder, folder, symlinks=True)
    other = copy.copy(publisher)
    other.folder, other.public = folder, folder / "repository/public"
    other.author, other.offline, other.repository = folder / "author", folder / "offline", folder / "repository"
    other.root_json = other.offline / "root.json"
    return other


@pytest.fixture(scope="session")
def published(build_folder, workshop):
    """Levels 1, 2 and 3 in main, of 30, 10 and 1.5 days ago; level 4 of an hour ago in main and test; an extra level 7."""
    publisher = Publisher(build_folder, workshop / "network")
    for level, days in ((1, 30), (2, 10), (3, 1.5), (4, 1 / 24)):
        publisher.deploy(publisher.patchset(f"K2026110{level}_01", [kernel_patch(level)], released=ago(days)))
    publisher.repo("feed", "add", "test", "--from", "main")
    publisher.repo("feed", "add", "empty")
    extra = [kernel_patch(7, type="extra")]
    publisher.deploy(publisher.patchset("K20261105_01", extra, type="extra", released=ago(1 / 24)))
    publisher.deploy(publisher.patchset("K20261106_01", [kernel_patch(5)], released=ago(1 / 48)), "test")
    return publisher


@pytest.fixture(scope="session")
def web(published, workshop):
    with Web(published.public, workshop / "network-web") as server:
        yield server


@pytest.fixture
def host(build_folder, workshop, published, web, tmp_path):
    web.requests()
    return Host(build_folder, tmp_path / "host", published, web.url)


@pytest.fixture
def changing(published, workshop, tmp_path_factory):
    """A repository of its own, behind a server of its own."""
    folder = workshop / f"changing-{len(list(workshop.glob('changing-*')))}"
    publisher = copy_of(published, folder)
    with Web(publisher.public, folder / "web") as server:
        publisher.web = server
        yield publisher


@pytest.fixture
def changing_host(build_folder, changing, tmp_path):
    return Host(build_folder, tmp_path / "host", changing, changing.web.url)


def expect(result, code, *texts):
    assert result.code == code, result
    for text in texts:
        assert text in result.out + result.err, f"'{text}' is not in {result}"


def offered(host, *args):
    """The level that --check tells; None when nothing is new."""
    result = host.kcarectl("--check", *args)
    if result.code == NOTHING_NEW:
        return None
    expect(result, NEW, "Patch level ")
    return int(result.out.split("Patch level ")[1].split()[0])


def downloaded(host):
    """{"default": {3}} of this kernel, whatever may be done with it."""
    folder = host.cache / "kernel" / running_kernel_id()
    return {t.name: {int(f.stem) for f in t.iterdir()} for t in folder.iterdir()} if folder.exists() else {}


def state_of(host):
    return json.loads((host.cache / "kernel/state.json").read_text())


def log_of(host):
    path = host.root / "var/log/kcare/integrity.log"
    return path.read_text() if path.exists() else ""


# ---- looking and asking ----


def test_check_tells_what_is_new(host, web):
    expect(host.kcarectl("--status"), UNSUPPORTED, "The patch server has not been asked about this kernel yet")
    expect(host.kcarectl("--check"), NEW, "Patch level 4 is available: K20261104_01\n")
    assert len(web.requests()) == 5
    expect(host.kcarectl("--check"), NEW, "Patch level 4 is available: K20261104_01\n")
    assert [r.split()[1] for r in web.requests()] == ["/feeds/main/metadata/2.root.json",
                                                      "/feeds/main/metadata/timestamp.json"]
    assert not downloaded(host)


def test_a_status_asks_nobody_and_has_an_age(host, web):
    host.kcarectl("--check")
    web.requests()
    expect(host.kcarectl("--status"), NO_PATCHES, "No patches applied. Patch level 4 is available. Checked ",
           " ago, feed main.\n")
    state = state_of(host)
    state["checked"]["at"] -= 3 * 3600
    (host.cache / "kernel/state.json").write_text(json.dumps(state))
    expect(host.kcarectl("--status"), NO_PATCHES, "Checked 3 hours ago, feed main.")
    expect(host.kcarectl("--info"), DONE, "No patches applied\n", "kpatch-note: patch level 4 (default) is available; "
           "'kcarectl --update' applies it\n", "kpatch-note: Checked 3 hours ago, feed main.\n")
    info = json.loads(host.kcarectl("--info", "--json").out)
    assert info["available-level"] == 4 and info["feed"] == "main" and info["checked-at"] == state["checked"]["at"]
    host.configure(PREFIX="test")
    expect(host.kcarectl("--status"), UNSUPPORTED, "The configuration has changed since the last check")
    assert not web.requests()


def test_an_update_downloads_once(host, web):
    first = host.kcarectl("--update")
    expect(first, REFUSED)
    assert first.out == "Downloading updates\n"
    assert downloaded(host) == {"default": {4}}
    assert [r for r in web.requests() if "/blobs/" in r]
    second = host.kcarectl("--update")
    expect(second, REFUSED)
    assert "Downloading" not in second.out
    assert not [r for r in web.requests() if "/blobs/" in r]
    assert not list((host.cache / "partial").iterdir())
    # what was in the cache is replaced by what the list names
    path = host.cache / "kernel" / running_kernel_id() / "default/4.kpatch"
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates\n")
    assert path.read_bytes() == good


def test_imported_patches_stay_eligible(host, published, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(next((published.folder / "patches/K20261106_01").iterdir()), folder / "five.kpatch")
    assert offered(host) == 4
    expect(host.kcarectl("--import-patch", folder), DONE, "patch level 5 (default)")
    assert offered(host) == 5
    expect(host.kcarectl("--status"), NO_PATCHES, "Patch level 5 is available.")
    result = host.kcarectl("--update")
    expect(result, REFUSED)
    assert downloaded(host) == {"default": {4, 5}}


# ---- the choice ----


def test_feeds_and_delays(host, web):
    assert [offered(host, *args) for args in ([], ["--prefix", "test"], ["--test"], ["--prefix=main"], ["--prefix", ""])] \
        == [4, 5, 5, 4, 4]
    assert [offered(host, "--prefix", p) for p in ("12h", "24h", "48h")] == [3, 3, 2]
    assert offered(host, "--test") == 5  # no news of the configured feed
    assert state_of(host)["checked"]["feed"] == "main"
    host.configure(PREFIX="test")
    assert offered(host) == 5
    assert offered(host, "--prefix", "24h") == 3
    host.configure(PREFIX="24h", UPDATE_DELAY="5d")
    assert offered(host) == 2
    host.configure(PREFIX=None, UPDATE_DELAY="60d")
    assert offered(host) is None
    expect(host.kcarectl("--update"), NOTHING, "the feed main has patches for this kernel, but none that this host may "
           "have now")
    host.configure(UPDATE_DELAY=None, AUTO_UPDATE_DELAY="5d")
    assert offered(host) == 4
    expect(host.kcarectl("--auto-update"), REFUSED, "Downloading updates")
    assert downloaded(host) == {"default": {2}}


def test_bad_prefixes(host):
    expect(host.kcarectl("--check", "--prefix", "../x"), USAGE, "usage: --prefix: '../x' is not 12h, 24h, 48h or the name")
    expect(host.kcarectl("--check", "--prefix", "a", "--test"), USAGE, "one prefix at a time")
    expect(host.kcarectl("--status", "--test"), USAGE, "--prefix and --test go with --update or --check")
    expect(host.kcarectl("--check", "--prefix", "nowhere"), NETWORK, "server: ", "and 'nowhere' one of its feeds?")


def test_types_are_set_and_fall_back(host):
    expect(host.kcarectl("--set-patch-type", "gold"), USAGE, "'gold' is not default, extra or free")
    expect(host.kcarectl("--set-patch-type", "extra"), DONE, "The patch type is extra from now on\n")
    assert offered(host) == 7
    expect(host.kcarectl("--set-patch-type", "free", "--update"), REFUSED, "The patch type is free from now on\n",
           "Downloading updates\n")
    assert downloaded(host) == {"default": {4}}  # this kernel has no free patches
    expect(host.kcarectl("--set-patch-type", "default"), DONE)
    assert "PATCH_TYPE=default\n" in (host.etc / "kcare.conf").read_text()
    expect(host.kcarectl("--set-patch-type", "extra", "--status"), USAGE, "go with --update or alone")


def test_sticky_dates(host):
    assert host.kcarectl("--set-sticky-patch", day(1)).code == DONE
    assert offered(host) == 3
    for form in ("%d%m%y", "%d%m%Y", "%Y-%m-%d"):
        text = time.strftime(form, time.gmtime(time.time() - 5 * DAY))
        iso = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 5 * DAY))
        expect(host.kcarectl("--set-sticky-patch", text), DONE, f"Sticky from now on: {iso}\n")
        assert f"STICKY_PATCH={text}\n" in (host.etc / "kcare.conf").read_text()
        assert offered(host) == 2
    expect(host.kcarectl("--set-sticky-patch", day(0)), REFUSED, "is today: it must be over")
    expect(host.kcarectl("--set-sticky-patch", day(-2)), REFUSED, "is in the future")
    expect(host.kcarectl("--set-sticky-patch", day(61)), REFUSED, "more than 60 days ago", "STICKY_LIMIT")
    expect(host.kcarectl("--set-sticky-patch", "soon"), USAGE, "'soon' is not a date")
    assert offered(host) == 2  # nothing of that was written
    expect(host.kcarectl("--set-sticky-patch="), DONE, "No longer sticky\n")
    assert offered(host) == 4


def test_an_old_sticky_date_warns_and_holds(host):
    host.configure(STICKY_PATCH=day(20), STICKY_LIMIT="7")
    result = host.kcarectl("--check")
    expect(result, NEW, "Patch level 1 is available", "is more than 7 days ago; it still holds")
    expect(host.kcarectl("--set-sticky-patch", day(20)), REFUSED, "more than 7 days ago")
    host.configure(STICKY_LIMIT="0")
    result = host.kcarectl("--set-sticky-patch", day(20), "--update")
    expect(result, REFUSED, "Sticky from now on: ", "\nDownloading updates\n")
    assert downloaded(host) == {"default": {1}}
    host.configure(STICKY_PATCH=day(-1))
    expect(host.kcarectl("--update"), REFUSED, "refused: the sticky date", "is in the future")


def test_key_needs_a_registered_host(host, web):
    expect(host.kcarectl("--set-sticky-patch", "KEY"), DONE, "Sticky from now on: KEY\n",
           "as long as this one is not registered, it is not updated")
    web.requests()
    expect(host.kcarectl("--update"), REFUSED, "this host is not registered")
    expect(host.kcarectl("--check"), REFUSED, "this host is not registered")
    assert not web.requests() and not downloaded(host)


def test_pins(host):
    host.configure(STICKY_PATCHSET="K20261102_01", AUTO_STICKY_PATCHSET="K20261101_05")
    assert offered(host) == 2
    host.kcarectl("--auto-update")
    assert downloaded(host) == {"default": {1}}
    host.configure(STICKY_PATCHSET="K2026")
    expect(host.kcarectl("--check"), INPUT, "kcare.conf", "STICKY_PATCHSET: 'K2026' is not the name of a patchset")


def test_a_kernel_without_patches(host):
    host.configure(PREFIX="empty")
    expect(host.kcarectl("--check"), NOTHING_NEW, "There are no patches for this kernel in the feed empty\n")
    expect(host.kcarectl("--update"), NOTHING, "There are no patches for this kernel (", ") in the feed empty")
    expect(host.kcarectl("--status"), UNSUPPORTED, "no patch for it is known. Checked ")
    expect(host.kcarectl("--auto-update"), NOTHING)
    host.configure(IGNORE_UNKNOWN_KERNEL="True")
    for option in ("--auto-update", "--smart-update"):
        quiet = host.kcarectl(option)
        assert quiet.code == DONE and not quiet.out and not quiet.err, quiet
    expect(host.kcarectl("--update"), NOTHING)


def test_a_rollout_is_for_some(changing, changing_host):
    changing.repo("disable", "K20261104_01", "--feed", "main")
    changing.repo("enable", "K20261104_01", "--feed", "main", "--rollout", "50")
    seen = set()
    for number in range(24):
        (changing_host.root / "etc/machine-id").write_text(f"{number:032x}\n")
        level = offered(changing_host)
        assert level == offered(changing_host)
        seen.add(level)
    assert seen == {3, 4}


# ---- blocks ----


def test_a_blocked_level_is_not_offered_nor_loaded(changing, changing_host):
    host = changing_host
    assert "Downloading" in host.kcarectl("--update").out
    assert downloaded(host) == {"default": {4}}
    changing.repo("block", "K20261104_01", "--feed", "main")
    assert offered(host) == 3
    assert [b["level"] for b in state_of(host)["checked"]["blocked"]] == [4]
    # a boot without a network: the cache has level 4 only
    changing.web.stop()
    result = host.kcarectl("--smart-update")
    expect(result, NETWORK, "network: ")
    host.configure(UPDATE_POLICY="LOCAL")
    expect(host.kcarectl("--smart-update"), NOTHING, "there is no patch for this kernel")
    changing.web.start()
    for name in ("K20261103_01", "K20261102_01", "K20261101_01"):
        changing.repo("block", name, "--feed", "main")
    assert offered(host) is None
    expect(host.kcarectl("--update"), NOTHING, "none that this host may have now")
    changing.repo("enable", "K20261104_01", "--feed", "main")
    assert offered(host) == 4


# ---- policies ----


def test_automatic_updates_can_be_off(host, web):
    host.configure(AUTO_UPDATE="NO")
    result = host.kcarectl("--auto-update")
    assert result.code == DONE and not result.out and not result.err, result
    expect(host.kcarectl("--auto-update", "-v"), DONE, "AUTO_UPDATE is off in kcare.conf: nothing is done")
    assert not web.requests()
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates")


def test_update_policies(host, web, build_folder, published, tmp_path):
    host.configure(UPDATE_POLICY="LOCAL")
    expect(host.kcarectl("--smart-update"), NOTHING, "in the cache")
    assert not web.requests()
    host.configure(UPDATE_POLICY="LOCAL_FIRST")
    expect(host.kcarectl("--smart-update"), REFUSED, "Downloading updates")
    assert web.requests()
    assert "Downloading" not in host.kcarectl("--smart-update").out
    assert not web.requests()
    host.configure(UPDATE_POLICY="REMOTE")
    host.kcarectl("--smart-update")
    assert web.requests()
    # nobody answers: the cached choice, with one line
    host.configure(PATCH_SERVER=f"http://127.0.0.1:{free_port()}")
    result = host.kcarectl("--smart-update")
    expect(result, REFUSED, "; taking what was chosen before")
    assert result.seconds < 20
    assert result.err.count("\n") == 2, result
    expect(host.kcarectl("--auto-update"), NETWORK, "network: ")
    fresh = Host(build_folder, tmp_path / "fresh", published, f"http://127.0.0.1:{free_port()}")
    expect(fresh.kcarectl("--smart-update"), NETWORK, "network: ")


def test_without_a_server_the_cache_serves(build_folder, published, tmp_path):
    host = Host(build_folder, tmp_path / "host", published)
    expect(host.kcarectl("--check"), NOTHING_NEW, "no PATCH_SERVER is configured")
    expect(host.kcarectl("--import-patch", published.folder / "patches/K20261102_01"), DONE)
    assert offered(host) == 2
    expect(host.kcarectl("--update"), REFUSED, "No PATCH_SERVER is configured: taking patches from the cache\n")
    assert "Checked" not in host.kcarectl("--status").out


# ---- one run at a time ----


def test_a_second_run_waits_then_gives_up(host, web):
    assert host.kcarectl("--check").code == NEW
    with open(host.root / "run/kcare.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = host.kcarectl("--update")
        expect(result, LOCKED, "locked: another kcarectl has been at work for 30 seconds or more")
        assert 29 < result.seconds < 40
        expect(host.kcarectl("--status"), NO_PATCHES)  # looking needs no lock
        timer = threading.Timer(2, fcntl.flock, (lock, fcntl.LOCK_UN))
        timer.start()
        assert offered(host) == 4
        timer.join()


# ---- unplugged ----


def test_an_unreachable_server_changes_nothing(host, web):
    assert offered(host) == 4
    before = state_of(host)
    host.configure(PATCH_SERVER=f"http://127.0.0.1:{free_port()}")
    for option in ("--check", "--update", "--auto-update"):
        result = host.kcarectl(option)
        expect(result, NETWORK, "network: http://127.0.0.1:", "Failed to connect")
        assert not result.out
    assert state_of(host) == before
    expect(host.kcarectl("--status"), NO_PATCHES, "Patch level 4 is available.")
    assert not log_of(host)


def test_a_damaged_cache_is_not_loaded(host):
    host.kcarectl("--update")
    path = host.cache / "kernel" / running_kernel_id() / "default/4.kpatch"
    good = path.read_bytes()
    host.configure(UPDATE_POLICY="LOCAL")
    path.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    assert host.kcarectl("--smart-update").err.split()[1] in ("corrupt:", "bad-signature:")
    # signed by the author, but not what its name says
    shutil.copy(path, path.with_name("3.kpatch"))
    path.write_bytes(good)
    path.rename(path.with_name("3.kpatch"))
    expect(host.kcarectl("--smart-update"), INPUT, "corrupt: ", "it is for another kernel, type or level than its name says")


def test_what_is_no_repository(host, workshop, tmp_path):
    folder = workshop / "no-repository"
    folder.mkdir(exist_ok=True)
    with Web(folder, tmp_path / "web") as server:
        host.configure(PATCH_SERVER=server.url)
        expect(host.kcarectl("--check"), NETWORK, "is PATCH_SERVER the URL of a repository")


def test_a_full_disk(host, tmp_path):
    need_root("mounting a small disk")
    assert offered(host) == 4
    kernel = host.cache / "kernel" / running_kernel_id()
    small = host.cache / "partial"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "none", small], check=False)
    assert mounted.returncode == 0, "cannot mount a tmpfs"
    try:
        (small / "filler").write_bytes(b"x" * 4096)
        result = host.kcarectl("--update")
        assert result.code == 1 and "No space left on device" in result.err, result
        assert not kernel.exists()
    finally:
        subprocess.run(["umount", small], check=True)
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates")
    assert downloaded(host) == {"default": {4}}


@pytest.fixture(scope="session")
def wrong_clock(workshop):
    return clock(workshop)


def test_a_clock_that_is_wrong_is_named(host, wrong_clock):
    assert offered(host) == 4
    before = state_of(host)
    ahead = host.kcarectl("--check", env=wrong_clock(400 * DAY))
    expect(ahead, REFUSED, "clock: ", "But the clock of the server says ", "set the clock")
    behind = host.kcarectl("--check", env=wrong_clock(-400 * DAY))
    expect(behind, REFUSED, "clock: ")
    assert state_of(host) == before
    assert log_of(host).count(" clock main http://") == 2
    # what was accepted before is still there for the boot
    expect(host.kcarectl("--status", env=wrong_clock(-400 * DAY)), NO_PATCHES, "at a time that has not come yet")
    assert offered(host) == 4


# ---- proxies ----


class Proxy(http.server.BaseHTTPRequestHandler):
    """Knows only one page: what is asked for is what matters."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(503)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_proxies_of_file_and_environment(host, proxy, web):
    dead = f"http://127.0.0.1:{free_port()}"
    host.configure(UPDATE_POLICY="REMOTE")  # --smart-update: one try
    for name in ("http_proxy", "HTTP_PROXY"):
        host.configure(**{name: proxy.url})
        expect(host.kcarectl("--smart-update", env={"http_proxy": dead}), NETWORK, "503")
        assert proxy.asked.pop().startswith(f"{web.url}/feeds/main/")
        host.configure(**{name: None})
    # curl knows only the lower case of this one, and so do web servers' CGI programs; we take both
    for name in ("http_proxy", "HTTP_PROXY"):
        expect(host.kcarectl("--smart-update", env={name: proxy.url}), NETWORK, "503")
        assert proxy.asked.pop().startswith(f"{web.url}/feeds/main/")
    host.configure(HTTP_PROXY=dead)
    expect(host.kcarectl("--smart-update"), NETWORK, "network: ")
    host.configure(NO_PROXY="localhost,127.0.0.1")
    assert offered(host) == 4
    host.configure(HTTP_PROXY=None, NO_PROXY=None)
    expect(host.kcarectl("--check", env={"http_proxy": dead, "NO_PROXY": "*"}), NEW)
    assert not proxy.asked
    host.configure(HTTP_PROXY="a b")
    expect(host.kcarectl("--check"), INPUT, "HTTP_PROXY: this is not a proxy")


# ---- trust and integrity ----


def test_a_repository_is_trusted_by_hand(build_folder, published, web, workshop, tmp_path):
    host = Host(build_folder, tmp_path / "host", published, web.url)
    (host.etc / "root.json").unlink()
    expect(host.kcarectl("--check"), REFUSED, "unknown-key: no repository is trusted yet", "--import-key root.json")
    result = host.kcarectl("--import-key", published.root_json)
    expect(result, DONE, "Trusted from now on: the repository whose root keys have the fingerprints\n",
           "Root version 1, 1 of 1 keys sign, valid until ")
    keyid = json.loads(published.root_json.read_text())["signatures"][0]["keyid"]
    assert f"\n    {keyid}\n" in result.out
    assert offered(host) == 4
    expect(host.kcarectl("--import-key", published.root_json), NOTHING, "trusted already")
    other = Publisher(build_folder, tmp_path / "other")
    expect(host.kcarectl("--import-key", other.root_json), REFUSED, "another repository is trusted already")
    assert offered(host) == 4
    expect(host.kcarectl("--import-key", other.root_json, "--force"), DONE, "instead of the one before")
    result = host.kcarectl("--check")
    expect(result, REFUSED)
    assert " main http://" in log_of(host)
    assert len(list((host.cache / "repo").iterdir())) == 2
    broken = tmp_path / "root.json"
    broken.write_text(published.root_json.read_text().replace('"version":1', '"version":2'))
    expect(host.kcarectl("--import-key", broken), REFUSED, "bad-signature: ", "not signed by its own root keys")


def test_violations_are_refused_and_logged(changing, changing_host):
    host = changing_host
    assert offered(host) == 4
    before, path = state_of(host), changing.public / "feeds/main/metadata/timestamp.json"
    good = path.read_text()
    path.write_text(good.replace('"version":', '"version":1'))
    expect(host.kcarectl("--check"), REFUSED, "bad-signature: ")
    path.write_text("{}")
    expect(host.kcarectl("--update"), INPUT, "corrupt: ")
    path.write_text("x" * 100000)
    expect(host.kcarectl("--update"), INPUT, "over-limit: ")
    assert state_of(host) == before
    lines = log_of(host).splitlines()
    assert [line.split()[1] for line in lines] == ["bad-signature", "corrupt", "over-limit"]
    assert all(" main http://" in line and "/feeds/main/metadata/timestamp.json " in line for line in lines), lines
    log = host.root / "var/log/kcare/integrity.log"
    assert log.stat().st_mode & 0o777 == 0o640 & ~current_umask() and log.parent.stat().st_mode & 0o027 == 0
    path.write_text(good)
    assert offered(host) == 4


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_altered_patch_files_do_not_reach_the_cache(changing, changing_host):
    host = changing_host
    digest = {b.stem: b for b in (changing.public / "blobs").rglob("*.kpatch")}
    assert offered(host) == 4
    blob = digest[state_of(host)["checked"]["chosen"]["hash"]]
    good = blob.read_bytes()
    blob.unlink()  # it may be a link to the private copy
    blob.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    expect(host.kcarectl("--update"), INPUT, "corrupt: ")
    assert not downloaded(host)
    assert "corrupt main http" in log_of(host)
    blob.unlink()
    expect(host.kcarectl("--update"), NETWORK, "does not have what its own list names")
    blob.write_bytes(good)
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates")
    assert downloaded(host) == {"default": {4}}


@pytest.mark.parametrize("real,text", [
    (kernel_patch(9, "ab" * 20), "has the target 'abababab"),
    (kernel_patch(9, type="extra"), "has the type 'extra', the list says 'default'"),
    (kernel_patch(8), "has level 8, the list says 9"),
], ids=["target", "type", "level"])
def test_a_patch_for_something_else_under_the_right_name(changing, changing_host, real, text):
    """Whoever has the keys of the server signs a list that says what an author's patch file is not."""
    changing.deploy(changing.patchset("K20261107_01", [real], type=real.type, released=ago(1 / 24)))
    table = changing.repository / "private/patchsets/K20261107_01.table"
    head, row = table.read_text().splitlines()
    claimed = [f"kernel/{running_kernel_id()}", running_kernel_id(), "default", "9", *row.split("\t")[4:]]
    table.write_text(head + "\n" + "\t".join(claimed) + "\n")
    changing.repo("refresh", "--all")
    assert offered(changing_host) == 9
    expect(changing_host.kcarectl("--update"), REFUSED, "wrong-target: ", text)
    assert not downloaded(changing_host)
    assert " wrong-target main http" in log_of(changing_host)


def test_an_author_who_is_not_trusted(host, published):
    (host.etc / "keys/author.pub").unlink()
    expect(host.kcarectl("--update"), REFUSED, "unknown-key: no author is trusted")
    assert not downloaded(host)
    expect(host.kcarectl("--check"), NEW)


@pytest.mark.parametrize("name", ["var/cache/kcare", "var/cache/kcare/kernel", "var/cache/kcare/repo", "run/kcare.lock",
                                  "var/cache/kcare/kernel/state.json", "etc/sysconfig/kcare/root.json"])
def test_what_others_may_change_is_not_used(host, web, name):
    need_root("files of another user")
    assert offered(host) == 4
    web.requests()
    path = host.root / name
    mode = path.stat().st_mode & 0o777
    path.chmod(0o777 if path.is_dir() else 0o666)
    expect(host.kcarectl("--update"), REFUSED, "permission: ", path.name)
    path.chmod(mode)
    os.chown(path, NOBODY, NOBODY)
    expect(host.kcarectl("--update"), REFUSED, "permission: ", path.name)
    assert not web.requests() and not downloaded(host)
    os.chown(path, 0, 0)
    assert offered(host) == 4


def test_links_in_the_cache_are_not_followed(host, tmp_path):
    need_root("following links as root")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    host.cache.mkdir(parents=True)
    for name in ("partial", "repo", "kernel"):
        if (host.cache / name).exists():
            shutil.rmtree(host.cache / name)
        (host.cache / name).symlink_to(elsewhere)
        expect(host.kcarectl("--update"), REFUSED, "permission: ", name)
        (host.cache / name).unlink()
    assert not list(elsewhere.iterdir())


def test_only_root_asks(host):
    need_root("becoming somebody else")
    environment = {k: v for k, v in os.environ.items() if k != "KCARE_ROOT"}
    result = subprocess.run([host.build / "src/cmd/kcarectl", "--check"], env=environment, user=NOBODY, group=NOBODY,
                            capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == REFUSED and "only root may do this" in result.stderr, result
