# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests to a portal as api/openapi.yaml has them, and as nobody should: good ones, ones with a wrong value, and bytes that
were HTTP once. All by one seed."""
import base64
import contextlib
import json
import random
import re
import socket
import string
import urllib.parse

from asking import ENCODINGS, pairs
from contract import json_text, python_path
from portal import PASSWORD
from values import HOSTILE

ODD = [*HOSTILE.values(), "", "0", "-1", "%", "null", "true", "=1+1", "'; --", "../..", "x" * 300, "ü" * 200, "\U0001f427", "9" * 30]
QUERY_MAX = 300  # more are cut off without an answer (portal/http/server.h)


class Response:
    """What came back: `status` 0 when there was nothing, which is an answer to garbage only."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", head)
        self.status = int(found[1]) if found else 0
        self.headers = {}
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            self.headers[name] = value
        # what a garbled request ends in may be a request of its own, with an answer of its own
        self.body = self.body[:int(self.headers.get("Content-Length", len(self.body)))]
        self.is_garbled = bool(data) and not found

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json_text(self.text)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class Things:
    """What there is to ask about: names are taken from answers, so that calls meet."""

    def __init__(self, api):
        self.api = api
        self.named = {"key": ["KEY"], "feed": ["main", "test"], "patchset": ["K20261101_01"], "server_id": [], "user": ["somebody"],
                      "id": [], "secret": [], "nonce": [], "credentials": []}

    def learn(self, name, value):
        known = self.named[name]
        known.append(value)
        if len(known) > 50:
            del known[self.api.random.randrange(len(known))]


class Fuzzer:
    """`api`: an asking.Api whose portal runs."""

    def __init__(self, api, seed):
        self.api, self.random = api, random.Random(seed)
        self.contract, self.things = api.contract, Things(self)
        self.operations = list(self.contract.operations.values())
        self.counts = {}
        key = f"FUZZ{seed}"
        api.must("putKey", {"key": key})
        self.things.learn("key", key)
        self.key = key

    # ------------------------------------------------------------------------------------------------------------- values

    def word(self):
        length = self.random.choice([1, 3, 8, 16, 40, 64, 65, 255, 256])
        return "".join(self.random.choice(string.ascii_letters + string.digits + "_-.") for _ in range(length))

    def odd(self):
        return self.random.choice([*ODD, 0, -1, 1.5, 10**20, True, None, [], {}, [[]], {"a": {"b": []}}, ["x"] * 1001, self.word()])

    def good(self, name, schema):
        things = {"service_id": "server_id", "username": "user", "name": "feed", "from": "feed"}.get(name, name)
        if things in self.things.named and self.things.named[things] and self.random.random() < 0.8:
            return self.random.choice(self.things.named[things])
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if schema.get("type") == "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**31)
            return self.random.choice([low, high, self.random.randint(low, high), min(high, low + 7)])
        if schema.get("type") == "boolean":
            return self.random.random() < 0.5
        if schema.get("type") == "array":
            return [self.good(name, schema["items"]) for _ in range(self.random.randrange(3))]
        return self.random.choice([self.word(), "2026-11-20", "yesterday", "env:prod;debian", "10.0.0.0/8", "0" * 40, "3h", "-4", "a%"])

    def values(self, operation):
        names = {p["name"]: p["schema"] for p in operation.parameters if p["in"] == "path"} | operation.names
        made = {}
        for name, schema in names.items():
            if name in operation.required or self.random.random() < 0.6:
                made[name] = self.good(name, schema)
        if {"server_id", "secret"} <= set(made) and self.things.named["credentials"] and self.random.random() < 0.9:
            made |= self.random.choice(self.things.named["credentials"])
        if made and self.random.random() < 0.3:
            made[self.random.choice(list(made))] = self.odd()
        if self.random.random() < 0.05 and made:
            del made[self.random.choice(list(made))]
        return made

    # ----------------------------------------------------------------------------------------------------------- requests

    def who(self, operation):
        role = {"everybody": "nobody", "agent": "nobody", "local": "admin"}.get(operation.role, operation.role)
        if self.random.random() < 0.15:
            role = self.random.choice(["nobody", "readonly", "admin"])
        if self.random.random() < 0.02:
            odd = base64.b64encode(self.random.choice([f"reader:{PASSWORD}", "a:b", ":", "x", self.word()]).encode()).decode()
            return {"Authorization": f"Basic {odd}"}
        return dict(self.api.headers[role])

    def request(self, operation):
        values = self.values(operation)
        in_path = {p["name"]: urllib.parse.quote(str(values.pop(p["name"], "x")), safe="") or "x" for p in operation.parameters
                   if p["in"] == "path"}
        path, body = python_path(operation, in_path), b""
        headers = {"Host": "portal.example", "Connection": "close", **self.who(operation)}
        headers["X-Forwarded-For"] = f"10.{self.random.randrange(256)}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"
        how = self.random.choice(["query", *ENCODINGS]) if operation.method == "POST" else "query"
        if "/kcare/" in operation.path and self.random.random() < 0.9:
            how = "json"
        if operation.id == "deployPatchset":
            how, body = "query", self.random.choice([b"", b"BZh9garbage", self.api.archive(1), self.api.archive(2)[:-5]])
        if how == "query":
            # what a query cannot say
            text = urllib.parse.urlencode([(name, str(value).encode("utf-8", "replace")) for name, value in pairs(values)[:QUERY_MAX]])
            path += f"?{text}" if text else ""
        else:
            headers["Content-Type"], encode = ENCODINGS[how]
            body = encode(values).encode("utf-8", "replace")
        if body or operation.method == "POST":
            headers["Content-Length"] = str(len(body))
        head = f"{operation.method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return head.encode() + b"\r\n" + body

    def garble(self, data):
        """A few changes; of a header's end, too, and of what says how long it all is."""
        data = bytearray(data)
        for _ in range(self.random.choice([1, 1, 2, 5, 20])):
            at = self.random.randrange(len(data) + 1)
            change = self.random.randrange(7)
            if change == 0 and at < len(data):
                data[at] = self.random.randrange(256)
            elif change == 1:
                del data[at:at + self.random.choice([1, 2, 10, 100])]
            elif change == 2:
                data[at:at] = self.random.choice([b"\r\n", b"\n", b"\0", b" ", b"\r\n\r\n", b"%", b"\xff", b"&a=b", b"a" * 20000])
            elif change == 3:
                data[at:at] = data[at:at + self.random.choice([10, 100])] * self.random.choice([1, 3, 50])
            elif change == 4:
                length = self.random.choice([b"Content-Length: 9", b"Transfer-Encoding: chunked\r\nX: ", b"Content-Length: -"])
                data = bytearray(data.replace(b"Content-Length: ", length))
            elif change == 5:
                data = bytearray(data.replace(b"HTTP/1.1", self.random.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 HTTP/1.1", b""]), 1))
            else:
                del data[at:]
        return bytes(data)

    # -------------------------------------------------------------------------------------------------------------- asking

    def send(self, data, is_all):
        """`is_all`: nothing follows, so that what is half a request is not waited for."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.api.portal.port), timeout=2 if is_all else 60)) as connection:
            answer = b""
            with contextlib.suppress(OSError):
                connection.sendall(data)
                if is_all:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    answer += piece
        return Response(answer)

    def learn(self, operation, answer):
        if answer.status != 200 or answer.headers.get("Content-Type") != "application/json":
            return
        found = answer.json
        if "secret" in found:
            made = {name: found[name] for name in ("server_id", "secret", "nonce") if name in found}
            self.things.learn("credentials", made)
            self.things.learn("server_id", found["server_id"])
        if operation.id in ("putKey", "putFeed", "addApiKey"):
            name, thing = {"putKey": ("key", "key"), "putFeed": ("name", "feed"), "addApiKey": ("id", "id")}[operation.id]
            self.things.learn(thing, found["result"][name])

    def step(self):
        """One request, and whether its answer may be."""
        operation = self.random.choice(self.operations)
        data = self.request(operation)
        is_garbled = self.random.random() < 0.3
        if is_garbled:
            data = self.garble(data)
        answer = self.send(data, is_garbled)
        self.counts[answer.status] = self.counts.get(answer.status, 0) + 1
        where = f"{data[:3000]!r}\n-> {answer}"
        assert answer.status != 500 and not answer.is_garbled, where
        assert is_garbled or answer.status, f"no answer: {where}"
        if not is_garbled:
            try:
                self.contract.check(operation, answer, everywhere=True)
            except Exception as error:
                raise AssertionError(where) from error
            self.learn(operation, answer)
        elif answer.status >= 400 and answer.headers.get("Content-Type") == "application/json":
            assert set(json.loads(answer.body)) == {"error", "message"}, where

