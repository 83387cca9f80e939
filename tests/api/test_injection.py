# SPDX-License-Identifier: GPL-2.0-or-later
"""Names, tags, notes and errors that are made to do harm: they are shown exactly as they came, or refused; never obeyed."""
import csv
import io
import re

import pytest

import cases

HOSTILE = [
    "'; DROP TABLE servers; --", "' OR '1'='1", "%", "_", "a%' ESCAPE '", "\\", "\\'", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
    "&lt;b&gt;", "${jndi:ldap://x}", "$(reboot)", "`reboot`", "|reboot", "../../etc/passwd", "=1+1", "+1", "-1", "@SUM(A1)", "'=1", "a,b", "a;b",
    'say "hi"', "null", "NaN", "{{7*7}}", "%s%n%x", "%00", "ünïcödé 漢字 🐧", "x" * 255,
]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil","x")', "=cmd|' /C calc'!A0"]
COLUMNS = {"hostname": "hostname", "effective_version": "euname", "release": "release", "virtualization": "virt", "distro": "distro",
           "distro_version": "distro_version", "machine": "machine", "processor": "processor", "patchset": "patchset",
           "agent_version": "kcare_version", "type": "patch_type", "last_error": "last_error", "feed": "feed"}


def rows(text):
    """The CSV as Python's reader has it; each row as long as the head."""
    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert all(len(row) == len(found[0]) for row in found)
    return [dict(zip(found[0], row)) for row in found[1:]]


@pytest.fixture
def check_in(api):
    """A server that says these things of itself; its id."""
    def run(**values):
        said = cases.VALUES["agentCheckin"](api)
        api.must("agentCheckin", said | values)
        return said["server_id"]
    return run


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_host_says(api, check_in, text):
    server = check_in(**{name: text for name in COLUMNS})
    shown, = api.servers(service_id=server)
    for name, column in COLUMNS.items():
        assert shown[column] == text, name
    # asked for by that very name there is that one server, and those that '%' means
    found = [one["id"] for one in api.servers(hostname=text)]
    assert server in found and (len(found) == 1 or "%" in text)
    cells, = rows(api.ask("listServers", {"service_id": server, "format": "csv"}).text)
    expected = "'" + text if text[0] in "=+-@" else text
    assert {cells[column] for column in COLUMNS.values()} == {expected}
    assert len(api.servers()) == api.must("listServers", {"only_count": "yes"})["count"] > 0


@pytest.mark.parametrize("text", HOSTILE)
def test_what_an_operator_writes(api, check_in, text):
    server = check_in()
    key = api.must("putKey", {"note": text})["result"]
    assert key["note"] == text and key in api.must("listKeys")["result"]
    user, feed = api.name("user"), api.name("feed")
    assert api.must("putUser", {"username": user, "description": text})["result"]["description"] == text
    assert api.must("putFeed", {"name": feed, "note": text})["result"]["note"] == text
    assert text in [one["note"] for one in api.must("listFeeds")["result"]]
    assert api.must("addApiKey", {"user": user, "note": text})["result"]["note"] == text
    is_plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text)
    for name, parameter in () if is_plain else (("putKey", "key"), ("putUser", "username"), ("putFeed", "name"), ("addApiKey", "user")):
        assert api.ask(name, {parameter: text}).status in (400, 404), name
    for name, value in (("server_id", text), ("hostname", text[:200] + "#"), ("ip", text)):
        answer = api.ask("deleteServer", {name: value})
        assert answer.status == 400 and "%" in text or answer.json["result"] == 0, (name, answer)
    for name, parameter in () if is_plain else (("deleteKey", "key"), ("deleteUser", "user"), ("deleteFeed", "feed"), ("deleteApiKey", "id")):
        answer = api.ask(name, {parameter: text}, everywhere=True)
        assert answer.status == 405 and "/" in text or answer.json["result"] == 0, (name, answer)
    for parameter in ("hostname", "ip", "service_id", "feed", "key", "tag"):
        is_pattern = parameter in ("hostname", "ip") and "%" in text
        assert is_pattern or server not in [one["id"] for one in api.servers(**{parameter: text})], parameter
    assert api.must("listUsers")["result"] and api.servers(service_id=server)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(api, check_in, text):
    tags = "=1"
    server = check_in(**{name: text for name in COLUMNS}, tags=tags)
    cells, = rows(api.ask("listServers", {"service_id": server, "format": "csv"}).text)
    assert not [cell for cell in cells.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]
    assert cells["hostname"] == "'" + text and cells["tags"] == "'" + tags


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\tb", "\x1b]0;x\x07", "a\x7fb", "a\u2028b", "a\u202eb", "a\u0085b"])
def test_nothing_begins_a_line_or_moves_a_cursor(api, text):
    before = api.portal.said()
    said = cases.VALUES["agentCheckin"](api)
    for name in COLUMNS:
        assert api.ask("agentCheckin", said | {name: text}).status == 400, name
    for name in ("hostname", "machine_id", "instance", "virtualization"):
        assert api.ask("agentRegister", cases.VALUES["agentRegister"](api) | {name: text}).status == 400, name
    for name, values in (("putKey", {"note": text}), ("putFeed", {"name": "f", "note": text}), ("register", {"key": "K", "hostname": text}),
                         ("putUser", {"username": "u", "description": text}), ("setTags", {"server_id": "x", "tags": text})):
        for how in ("json", "form", "multipart", "query"):
            assert api.ask(name, values, how=how).status == 400, (name, how)
    assert api.portal.said().startswith(before)
    new = api.portal.said()[len(before):]
    assert text not in new and all(line.startswith("eportald: ") for line in new.splitlines())


def test_tags(api):
    """Those of the operator and those of the host; found by each."""
    said = cases.VALUES["agentCheckin"](api)
    api.must("agentCheckin", said | {"tags": "env:<b>;' OR 1=1;=1"})
    server = {"server_id": said["server_id"]}
    api.must("setTags", server | {"tags": "mine:' --;%"})
    shown, = api.servers(service_id=said["server_id"])
    assert shown["tags"] == "mine:' --;%;env:<b>;' OR 1=1;=1" and shown["portal_tags"] == "mine:' --;%"
    for tag in ("mine:' --", "mine", "env:<b>", "' OR 1=1", "=1"):
        assert said["server_id"] in [one["id"] for one in api.servers(tag=tag)], tag
    for tag in ("env:%", "<b>", "min_", "mine:"):
        assert said["server_id"] not in [one["id"] for one in api.servers(tag=tag)], tag


def test_the_monitoring_line_has_one_bar(api, check_in):
    """What stands behind a '|' would be numbers to the plugin."""
    key = api.new_key()
    registered = api.registered(key)
    api.must("agentCheckin", {name: registered[name] for name in ("server_id", "secret", "nonce")} | {"hostname": "evil|uptodate=1000"})
    text = api.ask("nagios", {"key": key}).text
    assert text.count("|") == 1 and text.splitlines()[1].startswith("evil?uptodate=1000 (")


def test_the_audit_log_shows_what_was_written(api):
    text = "'; DROP TABLE audit; -- <script> =1"
    said = cases.VALUES["agentCheckin"](api)
    api.must("register", {"key": api.new_key(), "hostname": text})
    assert api.must("audit", {"limit": 1})["result"][0]["object"] == text
    api.must("setTags", {"server_id": said["server_id"], "tags": "a:<script>"})
    assert api.must("audit", {"limit": 1})["result"][0]["detail"] == "tags=a:<script>"


def test_answers_are_never_pages(api):
    """No browser takes them for HTML, and none keeps them."""
    for name in ("health", "metrics", "listServers", "nagios"):
        answer = cases.good(api, name)
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"].split(";")[0] in ("application/json", "text/plain")
