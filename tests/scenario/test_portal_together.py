# SPDX-License-Identifier: GPL-2.0-or-later
"""Many operators at one portal at the same moment: what they ask for is done one after the other, or has a clear answer."""
import concurrent.futures
import json

import publishing
from lab import DONE, LOCKED, NOTHING
from portal import Portal
from publishing import kernel_patch, running_kernel_id
from test_repository import shown

FIRST, SECOND, THIRD, FOREIGN = "K20261101_01", "K20261102_01", "K20261103_01", "K20261104_01"
STATES = {"enable": "enabled", "disable": "disabled", "block": "blocked"}


def at_once(calls):
    """Their results, in order."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def states(portal, feed="main"):
    rows = json.loads(portal.must("kcare", "list", "--feed", feed, "--json").out)
    return {row["patchset"]: row["status"] for row in rows}


def changes(portal, patchset):
    """What was done with it in the feed main, the last one first."""
    lines = json.loads(portal.must("audit", "--limit", "500", "--json").out)
    return [line["action"].split()[-1] for line in lines if line["object"] == patchset and line["outcome"] == "ok"]


def verified(portal):
    result = publishing.run(portal.build, "kcare-repo", "verify", portal.data / "repository")
    return result.code == DONE and "all good" in result.out


def test_two_deploys_at_once(build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "portal") as portal:
        archives = [portal.archive(name, [kernel_patch(level)], size=200_000) for level, name in enumerate((FIRST, SECOND), 1)]
        results = at_once([lambda archive=archive: portal.kc("kcare", "deploy", archive) for archive in archives * 3])
        # of each one is first, and the others hear that it is there
        assert sorted(result.code for result in results[::2]) == [DONE, NOTHING, NOTHING], results
        assert sorted(result.code for result in results[1::2]) == [DONE, NOTHING, NOTHING], results
        assert states(portal) == {FIRST: "enabled", SECOND: "enabled"}
        assert changes(portal, FIRST) == changes(portal, SECOND) == ["deploy"]
        assert set(shown(portal, running_kernel_id())) == {(1, FIRST), (2, SECOND)}
        assert verified(portal)


def test_everything_at_once(build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "up") as up, \
         Portal(build_folder, tmp_path / "down", author=up.author, UPSTREAM=up.url, UPSTREAM_ROOT=up.root_json) as portal:
        up.must("kcare", "deploy", up.archive(FOREIGN, [kernel_patch(4)]))
        for level, name in enumerate((FIRST, SECOND), 1):
            portal.must("kcare", "deploy", portal.archive(name, [kernel_patch(level)]))
        portal.must("feed", "-a", "old")
        key = portal.must("key", "-a", "--feed", "old").out.strip()
        third = portal.archive(THIRD, [kernel_patch(3)], size=200_000)
        calls = [["kcare", "deploy", third], ["kcare", "update"], ["kcare", "block", FIRST], ["kcare", "enable", FIRST],
                 ["kcare", "disable", FIRST], ["kcare", "disable", SECOND], ["kcare", "enable", SECOND], ["feed", "-d", "old"],
                 ["feed", "-a", "new", "--from", "main"], ["backup", tmp_path / "backup"], ["kcare", "block", FIRST]]
        repo = [lambda: publishing.run(build_folder, "kcare-repo", "refresh", portal.data / "repository")] * 2
        registers = [lambda n=n: portal.register(key, f"host{n}", f"machine{n}") for n in range(10)]
        results = at_once([lambda words=words: portal.kc(*words) for words in calls] + repo + registers)
        for result in results[:len(calls) + len(repo)]:
            # kcare-repo beside it has the same lock: whoever comes second is told so
            assert result.code in (DONE, NOTHING, LOCKED) and (result.code != LOCKED or "locked: " in result.err), result
        assert all(answer.status == 200 for answer in results[len(calls) + len(repo):])
        for words, result in zip(calls, results):
            if result.code == LOCKED:
                assert portal.kc(*words).code in (DONE, NOTHING)
        listed = states(portal)
        assert set(listed) == {FIRST, SECOND, THIRD, FOREIGN} and listed[THIRD] == listed[FOREIGN] == "enabled"
        # the log has them in the order in which they were done
        for patchset in (FIRST, SECOND):
            last = next((action for action in changes(portal, patchset) if action in STATES), "enable")
            assert listed[patchset] == STATES[last], (patchset, changes(portal, patchset))
        assert {feed["name"] for feed in json.loads(portal.must("feed", "--json").out)} >= {"main", "new"}
        assert json.loads(portal.must("key", "--json").out)[0]["feed"] == "main"
        assert portal.must("server", "--count").out.strip() == "10"
        assert verified(portal)
        checked = publishing.run(build_folder, "kcare-repo", "verify", tmp_path / "backup/repository")
        assert checked.code == DONE and "all good" in checked.out, checked
