# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may call what: every operation by everybody; guessing; pages of other sites; what only a key opens."""
import base64

import pytest

import cases
from conftest import CONTRACT
from portal import PASSWORD

OPERATIONS = list(CONTRACT.operations.values())
LIMIT, CHECKINS = cases.LIMIT, 60
# What a call answers to whom: a status that says that he may not.
REFUSED = {
    "readonly": {"nobody": 401, "readonly": None, "admin": None, "local": None},
    "admin": {"nobody": 401, "readonly": 403, "admin": None, "local": None},
    "local": {"nobody": 403, "readonly": 403, "admin": 403, "local": None},
}


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize("by", ["nobody", "readonly", "admin", "local"])
def test_who_may_call(api, by):
    """With parameters that would be wrong, so that nothing happens: who may not is told so all the same."""
    for operation in OPERATIONS:
        expected = REFUSED.get(operation.role, {}).get(by)
        values = {p["name"]: "x" for p in operation.parameters if p["in"] == "path"}
        if operation.role in REFUSED and (expected or operation.method != "GET"):
            if not expected and operation.id in (*cases.UPSTREAM, "deleteKey", "deleteUser", "deleteApiKey", "deleteFeed"):
                values |= {"product": "tea"}
            answer = api.ask(operation.id, values, by=by, how="query", everywhere=True)
            assert answer.status == expected or not expected and answer.status not in (401, 403), (operation.id, answer)
        if expected == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
            assert answer.json["error"] == "unauthorized"


@pytest.mark.parametrize("headers", [
    {"X-Api-Key": ""}, {"X-Api-Key": "x" * 40}, {"X-Api-Key": "%"}, {"Authorization": "Basic"}, {"Authorization": "Basic ////"},
    {"Authorization": "Basic " + base64.b64encode(b"admin").decode()}, {"Authorization": "Bearer admin"}, basic("", ""),
    basic("admin' OR '1'='1", "x"), basic("admin\0", PASSWORD), basic("x" * 5000, "x"), basic("reader", "x" * 5000)])
def test_strange_names_and_passwords(api, headers):
    answer = api.ask("metrics", by=headers)
    assert answer.status == 401, answer


def test_an_api_key_is_its_user_and_ends_with_him(api):
    user = api.name("user")
    api.must("putUser", {"username": user, "role": "admin"})
    made = api.must("addApiKey", {"user": user})
    by = {"X-Api-Key": made["api_key"]}
    api.must("putKey", {"key": api.name("KEY")}, by=by)
    assert api.must("audit", {"limit": 1})["result"][0]["who"] == user
    api.must("putUser", {"username": user, "role": "readonly"})
    assert api.ask("putKey", {}, by=by).status == 403, "it counts at once"
    api.must("deleteUser", {"user": user})
    assert api.ask("metrics", by=by).status == 401


def test_no_secret_is_ever_listed(api):
    made = api.must("addApiKey", {"user": "reader"})["api_key"]
    registered = api.registered()
    shown = repr([api.must(name) for name in ("listApiKeys", "listUsers", "listKeys", "audit")]) + \
        api.ask("listServers", {"limit": 1000}).text + api.ask("listServers", {"format": "csv"}).text + api.portal.said()
    assert "reader" in shown and not [secret for secret in (made, registered["secret"], registered["nonce"], PASSWORD) if secret in shown]
    # nor what is kept of them
    assert not any("scrypt" in shown or name in shown for name in ("password_hash", "secret_hash", "key_hash"))


# ---------------------------------------------------------------------------------------------------------------- guessing

def test_guessing_one_account(api):
    """From an address each: the account is closed, also to who knows the password; others are not."""
    api.must("putUser", {"username": "guessed", "password": PASSWORD})
    for n in range(LIMIT):
        assert api.ask("metrics", by=basic("guessed", f"guess {n}"), address=api.new_address()).status == 401
    answer = api.ask("metrics", by=basic("guessed", PASSWORD), address=api.new_address())
    assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0, answer
    assert api.ask("metrics", by=basic("reader", PASSWORD)).status == 200


def test_guessing_names_from_one_address(api):
    for n in range(LIMIT):
        assert api.ask("metrics", by={"X-Api-Key": f"guess{n}"}).status == 401
    assert api.ask("metrics", by="admin").status == 429
    assert api.ask("metrics", by="admin", address=api.new_address()).status == 200
    assert api.ask("health").status == 200
    assert api.ask("metrics", by="local").status == 200


def test_an_ipv6_network_is_one_address(api):
    for n in range(LIMIT):
        assert api.ask("metrics", by={"X-Api-Key": "guess"}, address=f"2001:db8:1:2::{n + 1:x}").status == 401
    assert api.ask("metrics", address="2001:db8:1:2:ffff::1").status == 429
    assert api.ask("metrics", address="2001:db8:1:3::1").status == 200


def test_a_host_that_does_not_stop_locks_out_only_itself(api):
    one, other = api.credentials(), api.credentials()
    for _ in range(LIMIT):
        assert api.ask("agentLicence", one | {"secret": "0" * 64}).status == 403
    assert api.ask("agentLicence", one).status == 429
    assert api.ask("agentLicence", other).status == 200
    assert api.ask("agentLicence", one, address=api.new_address()).status == 200


def test_a_host_that_does_not_stop_checking_in(api):
    """Neither from elsewhere. Nothing is written any more; others are heard, and it may ask for its licence."""
    one, other = cases.checkin(api), cases.checkin(api)
    for _ in range(CHECKINS):
        one["nonce"] = api.must("agentCheckin", one)["nonce"]
    answer = api.ask("agentCheckin", one | {"tags": "not:heard"})
    assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0, answer
    assert api.ask("agentCheckin", one | {"tags": "not:heard"}, address=api.new_address()).status == 429
    listed = {server["id"]: server["tags"] for server in api.servers()}
    assert sorted(listed[one["server_id"]].split(";")) == ["debian", "env:prod"]
    api.must("agentCheckin", other)
    api.must("agentLicence", {name: one[name] for name in ("server_id", "secret")})


def test_copies_of_a_host_do_not_lock_it_out(api):
    """They come with a nonce that is over; each counts where it is."""
    host = cases.checkin(api)
    copy = host | {"nonce": "0" * 32}
    for _ in range(CHECKINS):
        assert api.ask("agentCheckin", copy).status == 409
    assert api.ask("agentCheckin", copy).status == 429
    assert api.ask("agentCheckin", copy, address=api.new_address()).status == 409
    api.must("agentCheckin", host, address=api.new_address())


def test_guessing_keys(api):
    """Not one of the calls that take a key tells which keys there are, after a few tries."""
    key = api.new_key()
    for n in range(LIMIT):
        name = ("nagios", "nagiosShort", "patchsetOfKey", "register", "agentRegister")[n % 5]
        api.ask(name, cases.VALUES.get(name, dict)(api) | {"key": f"guess{n}"})
    for name in ("nagios", "nagiosShort", "patchsetOfKey", "register", "agentRegister"):
        assert api.ask(name, cases.VALUES.get(name, dict)(api) | {"key": key}).status == 429, name


# ------------------------------------------------------------------------------------------------------- whose word counts

def test_a_stranger_names_no_address(api):
    """X-Forwarded-For of one who is no proxy of ours: he has the address that he has."""
    key = api.new_key(addresses="192.0.2.0/24")
    values = {"key": key, "hostname": "host", "machine_id": "m"}
    assert api.ask("agentRegister", values, address="192.0.2.7").status == 200
    answer = api.ask("agentRegister", values, address="192.0.2.7", source="127.0.0.2")
    assert answer.status == 403 and answer.json["error"] == "address-not-allowed" and "127.0.0.2" in answer.json["message"]
    # what a client wrote before the proxy did counts for nothing
    answer = api.ask("agentRegister", values, address="192.0.2.7, 198.51.100.1")
    assert answer.status == 403 and "198.51.100.1" in answer.json["message"]
    assert [server["ip"] for server in api.servers(key=key)] == ["192.0.2.7"]


SITES = [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "https://evil.example"}, 403),
         ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "none"}, 200),
         ({"Origin": "http://portal.example", "Host": "portal.example"}, 200)]


@pytest.mark.parametrize("headers, status", SITES)
def test_pages_of_other_sites(api, headers, status):
    """A browser that remembers our password would send it with whatever such a page asks."""
    answer = cases.good(api, "putKey", headers=headers)
    assert answer.status == status and (status == 200 or answer.json["error"] == "refused"), answer


def test_pages_of_other_sites_change_nothing(api):
    before = api.state()
    for operation in OPERATIONS:
        if operation.role in ("readonly", "admin"):
            values = {p["name"]: "x" for p in operation.parameters if p["in"] == "path"}
            answer = api.ask(operation.id, values, how="query", headers={"Sec-Fetch-Site": "cross-site"})
            assert answer.status == (403 if operation.changes else 200), (operation.id, answer)
    assert api.state() == before


# ---------------------------------------------------------------------------------------------------- what a key opens

def test_the_inventory_is_not_public(api):
    key, other = api.new_key(), api.new_key()
    registered = api.registered(key, hostname="inventory.example")
    server = registered["server_id"]
    for name in ("nagios", "nagiosShort"):
        none = api.ask(name, {"key": "nobodys"}).text
        assert "inventory.example" in api.ask(name, {"key": key}).text
        assert none == "Servers not found for key nobodys\n"
        # a key without servers is told from none by nobody
        assert api.ask(name, {"key": other}).text == none.replace("nobodys", other)
    for wrong in (key[:-1], key + "x", key.lower(), "%", "_" * len(key), "*", "' OR 1=1 --", other):
        for name in ("nagios", "patchsetOfKey"):
            text = api.ask(name, {"key": wrong}, address=api.new_address()).text
            assert "inventory" not in text and server not in text and "10." not in text.replace(wrong, ""), (name, wrong, text)
    for operation in OPERATIONS:  # nor anything else, to nobody
        if operation.role not in ("everybody", "agent"):
            values = {p["name"]: key for p in operation.parameters if p["in"] == "path"}
            assert "inventory.example" not in api.ask(operation.id, values, by="nobody", how="query").text
    for path in ("/admin", "/admin/api", "/admin/api/kcare/nagios", "/nagios/", f"/nagios/{key}/{key}", "/admin/api/kcare"):
        assert api.send("GET", path).status == 404, path
