# SPDX-License-Identifier: GPL-2.0-or-later
"""What monitoring is told, by groups of servers, is what the list of servers says of each: also in a rollout, where some servers of
a group are offered more than others."""
import collections
import contextlib
import re
import sqlite3

import pytest

import publishing
from lab import DONE
from portal import Portal, copies_of_server
from publishing import kernel_patch

FIRST, SECOND = "K20261101_01", "K20261102_01"
KERNEL, OTHER = "a" * 40, "b" * 40
WORDS = {"outdated": "OUTOFDATE", "unsupported": "UNSUPPORTED", "inactive": "INACTIVE"}
NUMBERS = {"uptodate": "uptodate", "outofdate": "outdated", "unsupported": "unsupported", "inactive": "inactive"}
MANY = 1100  # more than one answer names


def servers(portal, **values):
    query = "&".join(f"{name}={value}" for name, value in {"limit": 1000, **values}.items())
    return portal.call("GET", f"/admin/api/servers?{query}").json["result"]


def nagios(portal, key):
    """Its first line, its numbers, and the other lines."""
    head, *lines = portal.call("GET", f"/nagios/{key}", user=None).text.splitlines()
    return head, {NUMBERS[name]: int(n) for name, n in re.findall(r"(\w+)=(\d+)", head)}, lines


def metrics(portal):
    return {state: int(n) for state, n in re.findall(r'eportal_servers\{state="(\w+)"\} (\d+)', portal.call("GET", "/metrics").text)}


def check(portal):
    """By status, how many there are of all."""
    of_all = collections.Counter()
    for key in portal.keys:
        listed = servers(portal, key=key)
        counted = collections.Counter(server["status"] for server in listed)
        head, numbers, lines = nagios(portal, key)
        assert numbers == {state: counted[state] for state in numbers}
        expected = [f"{s['hostname']} ({s['ip']}) is {WORDS[s['status']]}" for s in listed if s["status"] in WORDS]
        assert sorted(lines) == sorted(expected)
        assert [line.split()[-1] for line in lines] == [word for state, word in WORDS.items() for _ in range(counted[state])]
        worst = next((state for state in WORDS if counted[state]), None)
        n = counted[worst]
        assert head.startswith(f"{n} machine{' is' if n == 1 else 's are'} {WORDS[worst]}!|" if worst else "KernelCare OK - ")
        of_all += counted
    assert metrics(portal) == {state: of_all[state] for state in ("uptodate", *WORDS)}
    return of_all


def repository(portal, *args):
    result = publishing.run(portal.build, "kcare-repo", args[0], portal.data / "repository", *args[1:])
    assert result.code == DONE, result


def add(portal, key, name, **said):
    told = portal.register(key, name, name).json
    if said:
        message = {"hostname": name, "host_tag": name, **said, **{word: told[word] for word in ("server_id", "secret", "nonce")}}
        assert portal.call("POST", "/admin/api/kcare/checkin", message, user=None).status == 200
    return told["server_id"]


def sql(portal, text):
    with contextlib.closing(sqlite3.connect(portal.data / "portal.db", timeout=60)) as database:
        database.executescript(text)


@pytest.fixture(scope="module")
def portal(build_folder, tmp_path_factory):
    """Servers of two keys; of each group some are silent."""
    with Portal(build_folder, tmp_path_factory.mktemp("monitoring")) as made:
        made.must("kcare", "deploy", made.archive(FIRST, [kernel_patch(1, KERNEL)]))
        made.keys = [made.must("key", "-a").out.strip() for _ in range(2)]
        silent = []
        for number, key in enumerate(made.keys):
            for n in range(20):
                name = f"host-{number}-{n}"
                silent.append(add(made, key, name, kernel_id=KERNEL, level=n % 2) if n < 16 else
                              add(made, key, name, kernel_id=OTHER, level=0) if n < 18 else add(made, key, name))
        sql(made, f"UPDATE servers SET registered = registered - 8000000, checked_in = checked_in - 8000000 * (checked_in > 0) "
                  f"WHERE id IN {tuple(silent[::7])}")
        yield made


def test_what_is_told_is_what_is_listed(portal):
    assert all(check(portal)[state] > 2 for state in ("uptodate", *WORDS))
    repository(portal, "deploy", portal.archive(SECOND, [kernel_patch(2, KERNEL)]), "--feed", "main", "--rollout", "40")
    some = check(portal)
    at_1 = collections.Counter(s["status"] for s in servers(portal) if s["patch_level"] == 1 and s["status"] != "inactive")
    assert at_1["uptodate"] > 1 < at_1["outdated"], "the rollout has some hosts of a group, and others not"
    repository(portal, "enable", SECOND, "--feed", "main", "--rollout", "100")
    every = check(portal)
    assert every["uptodate"] == 0 and every["outdated"] > some["outdated"]
    repository(portal, "block", SECOND, "--feed", "main")
    assert check(portal)["uptodate"] > some["uptodate"]


def test_a_check_in_is_seen_at_once(portal):
    key = portal.must("key", "-a").out.strip()
    assert nagios(portal, key)[0] == f"Servers not found for key {key}"
    add(portal, key, "one", kernel_id=KERNEL, level=1)
    assert nagios(portal, key)[0] == "KernelCare OK - all servers are up to date!|uptodate=1;outofdate=0;unsupported=0;inactive=0"
    add(portal, key, "two", kernel_id=OTHER)
    assert nagios(portal, key)[2] == ["two (127.0.0.1) is UNSUPPORTED"]


def test_an_answer_has_an_end(portal):
    """A thousand lines of each kind: many servers that are unsupported do not hide the one that is silent."""
    key = portal.must("key", "-a").out.strip()
    add(portal, key, "first", kernel_id=OTHER)
    silent = add(portal, key, "silent")
    with contextlib.closing(sqlite3.connect(portal.data / "portal.db")) as database:
        more = copies_of_server(database, f"key_name = '{key}' AND hostname = 'first'", MANY, id="printf('M%015d', n)")
    sql(portal, more + f"UPDATE servers SET registered = 1 WHERE id = '{silent}';")
    head, numbers, lines = nagios(portal, key)
    assert numbers == {"uptodate": 0, "outdated": 0, "unsupported": MANY + 1, "inactive": 1}
    assert head.startswith(f"{MANY + 1} machines are UNSUPPORTED!|")
    assert len(lines) == 1000 + 1 and lines[-1] == "silent (127.0.0.1) is INACTIVE"
