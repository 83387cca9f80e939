# SPDX-License-Identifier: GPL-2.0-or-later
"""kc.eportal as an administrator has it: a new portal, and each command, with what it says and what came of it."""
import shutil
import time

import lab
import publishing
from lab import DONE, NOTHING
from portal import Portal
from publishing import Host, kernel_patch
from test_eportald import make_host

# ------------------------------------------------------------------------------------------------------------- a new portal

HOUR = 3600


def days_ago(hours):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours * HOUR))


def test_a_first_host_within_a_minute(build_folder, tmp_path):
    """`init`, one start command, and what docs/portal.md says of the host: nothing else is needed."""
    publishing.run(build_folder, "kcare-build", "keygen", tmp_path / "author")
    begin, port = time.monotonic(), lab.free_port()
    portal = Portal(build_folder, tmp_path / "portal", tmp_path / "author", listen=f"127.0.0.1:{port}")
    portal.start(listen=None)
    host = Host(build_folder, tmp_path / "host", PATCH_SERVER=f"http://127.0.0.1:{port}")
    for file in (portal.root_json, tmp_path / "author/author.pub"):
        assert host.kcarectl("--import-key", file).code == DONE
    key = portal.must("key", "-a").out.strip()
    assert host.kcarectl("--register", key).out == "Server Registered\n"
    assert portal.must("server", "--count").out == "1\n"
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
        portal.must("kcare", "deploy", portal.archive(f"K2026110{level}_01", [kernel_patch(level)], released=days_ago(hours)))
    portal.must("kcare", "deploy", "--feed", "test", portal.archive("K20261105_01", [kernel_patch(5)]))
    offered = {prefix: host.kcarectl("--check", "--prefix", prefix).out.split()[2] for prefix in
               ("main", "test", "12h", "24h", "48h")}
    assert offered == {"main": "4", "test": "5", "12h": "3", "24h": "2", "48h": "1"}
    # an update asks for the same
    host.configure(PREFIX="24h")
    host.kcarectl("--update")
    assert [path.stem for path in (host.cache / "kernel").rglob("*.kpatch")] == ["2"]
    # test has what main has, too, once the portal looked, or was told to
    assert portal.must("kcare", "auto-update").out == "4 patchsets taken by feeds with auto\n"
    portal.must("kcare", "block", "K20261105_01", "--feed", "test")
    assert host.kcarectl("--check", "--prefix", "test").out.split()[2] == "4"
    # and what is blocked there, it blocks
    portal.must("kcare", "block", "K20261104_01")
    portal.must("kcare", "auto-update")
    assert host.kcarectl("--check", "--prefix", "test").out.split()[2] == "3"
    assert portal.kc("kcare", "auto-update").code == NOTHING
