# SPDX-License-Identifier: GPL-2.0-or-later
"""A real portal, and calls to it by the names of api/openapi.yaml: every answer is held against that file.

    key = api.ask("putKey", {"note": "for tests"}).json["result"]["key"]

It trusts the X-Forwarded-For of 127.0.0.1, so that each test has a client address of its own: what one does wrong does not
lock the others out.
"""
import contextlib
import http.client
import itertools
import json
import urllib.parse

from contract import Contract, json_text, python_path
from portal import PASSWORD, Portal, SocketConnection
from publishing import kernel_patch

BOUNDARY = "a-boundary"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json_text(self.text)

    def __repr__(self):
        return f"{self.status} {self.body!r}"


def as_text(value):
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value)


def pairs(values):
    """Name and text of each value; lists come as several."""
    return [(name, as_text(one)) for name, value in values.items() for one in (value if isinstance(value, list) else [value])]


def multipart(values):
    parts = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in pairs(values))
    return f"{parts}--{BOUNDARY}--\r\n"


ENCODINGS = {
    "json": ("application/json", json.dumps),
    "form": ("application/x-www-form-urlencoded", lambda values: urllib.parse.urlencode(pairs(values))),
    "multipart": (f"multipart/form-data; boundary={BOUNDARY}", multipart),
}


class Api:
    """`portal` runs; `contract` is the file."""

    def __init__(self, portal, contract=None):
        self.portal, self.contract = portal, contract or Contract()
        self.numbers = itertools.count(1)
        self.address = self.new_address()
        self.made = {}
        self.headers = {"local": {}, "nobody": {}}
        for name, role in (("admin", "admin"), ("reader", "readonly")):
            if name == "reader":
                self.ask("putUser", {"username": "reader", "password": PASSWORD, "role": "readonly"}, by="local")
            made = self.ask("addApiKey", {"user": name}, by="local").json
            self.headers[role] = {"X-Api-Key": made["api_key"]}

    def new_address(self):
        n = next(self.numbers)
        return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"

    def name(self, of):
        """One that nobody has yet."""
        return f"{of}{next(self.numbers)}"

    # ------------------------------------------------------------------------------------------------------------- asking

    def send(self, method, path, body=None, headers=None, by="nobody", address=None, source=None):
        """Any request; `by`: a role, or headers; `source`: where the connection comes from."""
        own = {"X-Forwarded-For": address or self.address}
        own |= self.headers[by] if isinstance(by, str) else by
        own |= headers or {}
        connection = SocketConnection(self.portal.data / "socket") if by == "local" else \
            http.client.HTTPConnection("127.0.0.1", self.portal.port, timeout=60, source_address=source and (source, 0))
        try:
            with contextlib.suppress(BrokenPipeError):  # who is refused early is told so all the same
                connection.request(method, path, body=body, headers=own)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def ask(self, name, values=None, how=None, body=None, by=None, everywhere=False, **options):
        """An operation by its name. `values`: its parameters, wherever they belong; `how`: "query", "json", "form",
        "multipart"; `body`: bytes instead of them. By an administrator, unless `by` says who."""
        operation = self.contract.operations[name]
        values = dict(values or {})
        in_path = {p["name"]: urllib.parse.quote(values.pop(p["name"]), safe="") for p in operation.parameters if p["in"] == "path"}
        path, headers = python_path(operation, in_path), dict(options.pop("headers", {}))
        how = how or ("query" if operation.method != "POST" or body is not None else "json")
        if how == "query":
            path += "?" + urllib.parse.urlencode(pairs(values)) if values else ""
        else:
            kind, encode = ENCODINGS[how]
            body = encode(values).encode()
            headers.setdefault("Content-Type", kind)
        by = by or {"everybody": "nobody", "agent": "nobody"}.get(operation.role, operation.role)
        answer = self.send(operation.method, path, body, headers, by=by, **options)
        self.contract.check(operation, answer, everywhere)
        return answer

    def must(self, name, values=None, **options):
        answer = self.ask(name, values, **options)
        assert answer.status == 200, f"{name}: {answer}"
        return answer.json

    # ------------------------------------------------------------------------------------------------ things to ask about

    def new_key(self, **values):
        return self.must("putKey", {"key": self.name("KEY"), **values})["result"]["key"]

    def registered(self, key=None, **values):
        """A server's id, secret and nonce."""
        key = key or self.new_key()
        return self.must("agentRegister", {"key": key, "hostname": "host", "machine_id": self.name("machine"), **values})

    def credentials(self, **values):
        registered = self.registered(**values)
        return {name: registered[name] for name in ("server_id", "secret")}

    def archive(self, n=1, **options):
        """The bytes of the archive of a patchset for this kernel at level `n`."""
        name = f"K202611{n:02}_01"
        if name not in self.made:
            self.made[name] = self.portal.archive(name, [kernel_patch(n)], **options).read_bytes()
        return self.made[name]

    def deployed(self, n=1):
        """The name of a patchset that is enabled in main."""
        return self.must("deployPatchset", {"feed": "main"}, body=self.archive(n))["patchset"]

    def servers(self, **values):
        return self.must("listServers", {"limit": 1000, **values})["result"]

    def state(self):
        """All that can be listed, but for what tells the time."""
        lists = {name: self.must(name) for name in ("listKeys", "listFeeds", "listUsers", "listApiKeys")}
        for server in self.servers():
            lists[server["id"]] = server
        for product in ("kernel", "user"):
            lists[product] = self.must("listPatchsets", {"product": product})
        return lists | {"audit": self.must("audit", {"limit": 1})["result"]}


def start(build, folder, **configuration):
    """A portal that runs; the caller stops it."""
    return Portal(build, folder, TRUSTED_PROXIES="127.0.0.1", **configuration).start()
