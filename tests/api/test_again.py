# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls bring about a state: the same call again is no error, says so, and changes nothing."""
import pytest

import cases
from conftest import CONTRACT

UNCHANGED, NONE, THERE, GONE, NEW, SAME = "changed 0", "removed 0", "exists", "unknown-server", "another one", "the same"
# What the second call says.
AGAIN = {
    "agentRegister": NEW, "agentUnregister": GONE, "agentCheckin": NEW, "agentLicence": SAME, "agentDoctor": NEW, "register": NEW,
    "deleteServer": NONE, "cleanServers": NONE, "setTags": UNCHANGED, "putKey": UNCHANGED, "deleteKey": NONE, "putFeed": UNCHANGED,
    "deleteFeed": NONE, "managePatchset": UNCHANGED, "deployPatchset": UNCHANGED, "updatePatchsets": UNCHANGED,
    "autoUpdatePatchsets": UNCHANGED, "downloadMissing": UNCHANGED, "unrollPatchset": UNCHANGED, "putUser": UNCHANGED,
    "deleteUser": NONE, "addApiKey": NEW, "deleteApiKey": NONE, "backup": THERE, "backupDb": THERE, "restore": SAME,
}


def test_all_calls_that_change_something_are_here():
    assert set(AGAIN) == {operation.id for operation in CONTRACT.operations.values() if operation.changes}


@pytest.mark.parametrize("name", AGAIN)
def test_once_more(request, api, name):
    if name in cases.UPSTREAM:
        api = request.getfixturevalue("following")
    values, body = cases.VALUES.get(name, lambda api: {})(api), cases.BODIES.get(name, lambda api: None)(api)
    first = api.ask(name, values, body=body)
    assert first.status == 200, first
    if name == "unrollPatchset":
        del values["delete"]  # files may be all that goes: then that is a change
    before, said = api.state(), AGAIN[name]
    again = api.ask(name, values, body=body)
    assert again.status == {THERE: 409, GONE: 403}.get(said, 200), again
    if said == UNCHANGED:
        assert again.json["changed"] == 0
        assert name in cases.UPSTREAM or name == "restore" or first.json["changed"] > 0, first
    elif said == NONE:
        assert again.json["result"] == 0 and (first.json["result"] == 1 or name == "cleanServers")
    elif said in (THERE, GONE):
        assert again.json["error"] == said
    elif said == NEW:
        assert again.json != first.json
        return
    elif said == SAME:
        assert again.json == first.json
    if name != "restore":
        before["audit"], after = [], api.state()
        after["audit"] = []
        assert after == before


@pytest.mark.parametrize("name", [name for name, said in AGAIN.items() if said in (UNCHANGED, NONE)])
def test_what_changed_nothing_has_no_line_in_the_audit_log(request, api, name):
    if name in cases.UPSTREAM:
        api = request.getfixturevalue("following")
    values, body = cases.VALUES.get(name, lambda api: {})(api), cases.BODIES.get(name, lambda api: None)(api)
    api.must(name, values, body=body)
    values.pop("delete", None)
    before = api.must("audit")
    api.must(name, values, body=body)
    assert api.must("audit") == before


def test_a_host_that_registers_again_is_still_one(api):
    key = api.new_key()
    values = {"key": key, "hostname": "host", "machine_id": "machine"}
    for _ in range(3):
        api.must("agentRegister", values)
    for _ in range(3):
        api.must("register", {"key": key, "hostname": "other"})
    assert len(api.servers(key=key)) == 2


def test_the_answer_that_got_lost(api):
    """A host comes again with the nonce of before, once."""
    values = cases.VALUES["agentCheckin"](api)
    assert api.ask("agentCheckin", values).status == 200
    assert api.ask("agentCheckin", values).status == 200
    nonce = api.must("agentCheckin", values)["nonce"]
    api.must("agentCheckin", values | {"nonce": nonce})
    api.must("agentCheckin", values | {"nonce": nonce})
    assert api.ask("agentCheckin", values).status == 409


def test_what_is_unrolled_with_its_files_does_not_come_back(api):
    """Also when the only feed that had it is gone, and with it nobody who would have taken it out."""
    feed = api.must("putFeed", {"name": api.name("feed")})["result"]["name"]
    name = api.must("deployPatchset", {"feed": feed}, body=api.archive(5))["patchset"]
    api.must("deleteFeed", {"feed": feed})
    assert name in [one["patchset"] for one in api.must("listPatchsets")["result"]]
    assert api.must("unrollPatchset", {"patchset": name, "delete": True})["changed"] == 1
    # what looks at all that is here
    api.must("managePatchset", {"patchset": api.deployed(1), "feed": "main", "action": "enable-upto"})
    assert name not in [one["patchset"] for one in api.must("listPatchsets")["result"]]
