# SPDX-License-Identifier: GPL-2.0-or-later
"""How each documented answer comes about: VALUES has good parameters of every operation, CASES what else there is.

A case gets the API and returns the answer; test_contract.py asks for one for every operation and code of api/openapi.yaml.
What comes about alike everywhere (401, 403, 413, 429) is made from the operation itself.
"""
from archives import archive, change_signed, member, members_of
from downloads import answer
from publishing import running_kernel_id
from routes import body_max

LIMIT = 10  # failures of one account or address


def checkin(api):
    registered = api.registered()
    return {"server_id": registered["server_id"], "secret": registered["secret"], "nonce": registered["nonce"], "event": "after",
            "hostname": "host.example", "release": "6.1.0-47-amd64", "kernel_id": running_kernel_id(), "level": 1,
            "effective_version": "6.1.0-48-amd64", "tags": "env:prod;debian", "last_error": "busy: try again"}


def a_path(api, name="backup"):
    return str(api.portal.folder / api.name(name))


def a_backup(api):
    path = a_path(api)
    api.must("backup", {"path": path})
    return path


def deployable(api):
    api.deployed(2)
    feed = api.name("feed")
    api.must("putFeed", {"name": feed})
    return feed


VALUES = {
    "agentRegister": lambda api: {"key": api.new_key(), "hostname": "host.example", "machine_id": api.name("machine"),
                                  "instance": "", "agent_version": "1", "virtualization": "kvm", "is_container": False},
    "agentUnregister": lambda api: api.credentials(),
    "agentCheckin": checkin,
    "agentLicence": lambda api: api.credentials(),
    "agentDoctor": lambda api: api.credentials() | {"hostname": "host.example", "report": "all\n\tis well\n"},
    "nagios": lambda api: {"key": api.new_key()},
    "nagiosShort": lambda api: {"key": api.new_key()},
    "patchsetOfKey": lambda api: {"key": api.new_key()},
    "register": lambda api: {"key": api.new_key(), "hostname": api.name("host")},
    "deleteServer": lambda api: {"server_id": api.registered()["server_id"]},
    "listServers": lambda api: {"hostname": "h%", "ip": "%", "tag": "env:prod", "registered_age": "-3", "checkin_age": "-4h",
                                "updated_age": "-3", "is_updated": "no", "limit": 5, "offset": 0, "only_count": False,
                                "format": "json"},
    "cleanServers": lambda api: {"checkin_age": 30},
    "setTags": lambda api: {"server_id": api.registered()["server_id"], "tags": "env:test;mine"},
    "putKey": lambda api: {"key": api.name("KEY"), "feed": "main", "note": "a note", "server_limit": 5,
                           "products": ["kernel", "libs"], "sticky": "2026-11-20", "ends": "2036-11-30",
                           "addresses": "10.0.0.0/8, 2001:db8::/32", "locked": False},
    "deleteKey": lambda api: {"key": api.new_key()},
    "putFeed": lambda api: {"name": api.name("feed"), "auto": False, "deploy_after": 24, "channel": "test", "note": "a note",
                            "from": "main"},
    "deleteFeed": lambda api: {"feed": api.must("putFeed", {"name": api.name("feed")})["result"]["name"]},
    "listPatchsets": lambda api: {"feed": "main", "product": "kernel", "distro": ["debian12", "debian13"]},
    "managePatchset": lambda api: {"patchset": api.deployed(2), "feed": [deployable(api)], "action": "enable", "product": "kernel"},
    "deployPatchset": lambda api: {"feed": deployable(api), "disabled": "yes", "product": "kernel"},
    "updatePatchsets": lambda api: {"feed": "main", "product": "kernel"},
    "autoUpdatePatchsets": lambda api: {"product": "kernel"},
    "unrollPatchset": lambda api: {"patchset": api.deployed(3), "delete": "yes"},
    "putUser": lambda api: {"username": api.name("user"), "role": "readonly", "description": "a user"},
    "deleteUser": lambda api: {"user": api.must("putUser", {"username": api.name("user")})["result"]["username"]},
    "addApiKey": lambda api: {"user": "reader", "note": "a note", "days": 1},
    "deleteApiKey": lambda api: {"id": api.must("addApiKey", {"user": "reader"})["result"]["id"]},
    "audit": lambda api: {"limit": 5, "offset": 0},
    "backup": lambda api: {"path": a_path(api)},
    "backupDb": lambda api: {"path": a_path(api)},
    "restore": lambda api: {"path": a_backup(api), "what": ["db"]},
}
BODIES = {"deployPatchset": lambda api: api.archive(2)}
UPSTREAM = ("updatePatchsets", "autoUpdatePatchsets", "downloadMissing")  # they need a portal that follows another one


def good(api, name, **options):
    """An operation with good parameters."""
    if name in BODIES:
        options.setdefault("body", BODIES[name](api))
    return api.ask(name, VALUES.get(name, lambda api: {})(api), **options)


# ---------------------------------------------------------------------------------------------------------- alike everywhere

def unauthorized(api, operation):
    return good(api, operation.id, by="nobody")


def forbidden(api, operation):
    return good(api, operation.id, by="readonly" if operation.role == "admin" else "admin")


def over_limit(api, operation):
    """To announce one byte too many is enough."""
    limit = body_max(api.portal.build, operation)
    return api.ask(operation.id, body=b"", headers={"Content-Length": str(limit + 1)})


def wrong_key(api):
    return api.ask("nagios", {"key": api.name("wrong")})


def wrong_password(api):
    return api.ask("metrics", by={"X-Api-Key": "wrong"})


def too_many(api, operation):
    """After so many failures of this address not even the right ones are heard."""
    values = VALUES.get(operation.id, lambda api: {})(api)
    for _ in range(LIMIT):
        if operation.role != "agent":
            wrong_password(api)
        elif operation.id == "agentDoctor":
            api.must("agentDoctor", values)
        elif "secret" in values:
            assert api.ask("agentLicence", {"server_id": values["server_id"], "secret": "0" * 64}).status == 403
        else:
            wrong_key(api)
    body = BODIES[operation.id](api) if operation.id in BODIES else None
    return api.ask(operation.id, values, body=body)


ALIKE = {401: unauthorized, 403: forbidden, 413: over_limit, 429: too_many}

# --------------------------------------------------------------------------------------------------------------- one by one

CASES = {}


def case(name, code):
    def add(function):
        assert (name, code) not in CASES
        CASES[name, code] = function
        return function
    return add


def simple(name, code, /, **values):
    """Good parameters, but for these; a value may be a function of the API."""
    CASES[name, code] = lambda api: api.ask(name, VALUES.get(name, lambda api: {})(api) |
                                            {key: value(api) if callable(value) else value for key, value in values.items()})


for _name, _values in {
        "agentRegister": {"machine_id": ""}, "agentUnregister": {"secret": "short"}, "agentCheckin": {"nonce": "short"},
        "agentLicence": {"server_id": "1234567890123456"}, "agentDoctor": {"report": "\x07"}, "patchsetOfKey": {"key": "nobodys"},
        "register": {"key": "nobodys"}, "deleteServer": {"server_id": ""}, "listServers": {"limit": 0}, "cleanServers": {"checkin_age": 0},
        "autoUpdatePatchsets": {"product": "tea"}, "setTags": {"tags": "a:b:c;;"}, "putKey": {"sticky": "tomorrow"}, "putFeed": {"name": "12h"}, "listPatchsets": {"product": "tea"},
        "managePatchset": {"action": "burn"}, "unrollPatchset": {"patchset": "K1"}, "putUser": {"username": "local"},
        "addApiKey": {"days": 0}, "audit": {"limit": 1001}, "backup": {"path": "relative"}, "backupDb": {"path": "/nowhere/at/all"},
        "restore": {"what": []}}.items():
    simple(_name, 400, **_values)

for _name, _values in {
        "putKey": {"feed": "nowhere"}, "putFeed": {"from": "nowhere"}, "listPatchsets": {"feed": "nowhere"},
        "managePatchset": {"patchset": "K20200101_01"}, "addApiKey": {"user": "nobody"},
        "updatePatchsets": {"feed": "nowhere"}, "restore": {"path": "/nowhere"}}.items():
    simple(_name, 404, **_values)

for _name in ("agentUnregister", "agentCheckin", "agentLicence", "agentDoctor"):
    simple(_name, 403, secret="0" * 64)
for _name in ("agentRegister", "register"):
    simple(_name, 403, key=lambda api: api.new_key(locked=True))
for _name in ("backup", "backupDb"):
    simple(_name, 409, path=a_backup)
simple("agentCheckin", 409, nonce="0" * 32)


@case("downloadMissing", 400)
def _(api):
    return api.ask("downloadMissing")


@case("updatePatchsets", 400)
def _(api):
    return api.ask("updatePatchsets")


@case("deployPatchset", 400)
def _(api):
    """No body at all, or one that is something else."""
    assert api.ask("deployPatchset", body=b"").status == 400
    return api.ask("deployPatchset", body=b"not an archive")


@case("deployPatchset", 404)
def _(api):
    return api.ask("deployPatchset", {"feed": "nowhere"}, body=api.archive())


@case("deployPatchset", 409)
def _(api):
    """The author says something else of a patch file than is in it."""
    made = api.portal.folder / "made/K20261104_01.tar.bz2"
    api.archive(4)
    (_, text), *files = members_of(made)
    wrong = change_signed(text, lambda signed: signed["files"][0].update(level=77), api.portal.author / "author.key")
    return api.ask("deployPatchset", body=archive([member("PATCHSET.json", wrong), *files]))


# ------------------------------------------------------------------------------------------------------ from the upstream

def broken(name):
    def run(api):
        api.upstream.broken = answer(status="403 Forbidden")
        try:
            return good(api, name)
        finally:
            api.upstream.broken = None
    return run


for _name in UPSTREAM:
    CASES[_name, 502] = broken(_name)


def rolled_back(name):
    def run(api):
        now, api.upstream.folder = api.upstream.folder, api.old
        try:
            return good(api, name)
        finally:
            api.upstream.folder = now
    return run


for _name in UPSTREAM:
    CASES[_name, 409] = rolled_back(_name)
