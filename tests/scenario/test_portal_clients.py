# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow and garbled clients of the real eportald: each gets what HTTP has for it or is hung up on, none is in the way of
others, and what they hold is little. tests/unit/test_http.c has the limits one by one.
"""
import contextlib
import os
import re
import socket
import ssl
import time

import pytest

import lab
from portal import Portal, make_certificate
from publishing import kernel_patch

FIRST, SECOND = "K20261101_01", "K20261102_01"
KEPT_MB = 120  # of which much is what AddressSanitizer keeps
CHECKIN = "/admin/api/kcare/checkin"


class Fleet(Portal):
    """With a host that checks in."""

    def prepare(self):
        self.key = self.must("key", "-a").out.strip()
        self.told = self.register(self.key).json
        return self

    def check_in(self, **options):
        message = {"server_id": self.told["server_id"], "secret": self.told["secret"], "nonce": self.told["nonce"], "hostname": "host"}
        answer = self.call("POST", CHECKIN, message, user=None, **options)
        assert answer.status == 200, answer
        self.told["nonce"] = answer.json["nonce"]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def n_descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) / 1024


@pytest.fixture(scope="module")
def portal(build_folder, tmp_path_factory):
    with Fleet(build_folder, tmp_path_factory.mktemp("clients"), CONNECTIONS=4000) as made:
        made.must("kcare", "deploy", made.archive(FIRST, [kernel_patch(1)], size=1_000_000))
        yield made.prepare()


@pytest.fixture(scope="module")
def host(portal, tmp_path_factory):
    return portal.make_host(tmp_path_factory.mktemp("host"))


def all_of(connection):
    """What comes until the other side hangs up, also in anger, or waits for more."""
    data = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while piece := connection.recv(65536):
            data += piece
    return data


def statuses(data):
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


def post(headers, body=b"", path=CHECKIN):
    return f"POST {path} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n{headers}\r\n".encode() + body


GARBLED = {
    "noise": (bytes(range(256)) * 8, {400}),
    "zeros": (bytes(4000), {400}),
    "a TLS client": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 405, 505}),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", {200, 400, 505}),
    "no host": (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
    "a huge header": (b"GET /healthz HTTP/1.1\r\nHost: p\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", {431}),
    "an endless header": (b"GET /healthz HTTP/1.1\r\nHost: p\r\nX: " + b"x" * 200_000, {431}),
    "many headers": (b"GET /healthz HTTP/1.1\r\nHost: p\r\n" + b"X: y\r\n" * 20_000, {431}),
    "an endless path": (b"GET /" + b"x" * 200_000, {414, 431}),
    "a chunk of no size": (post("Transfer-Encoding: chunked\r\n", b"ZZ\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk of a size too large": (post("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\nhello"), {400, 413}),
    "an endless chunk size": (post("Transfer-Encoding: chunked\r\n", b"0" * 100_000), {400, 413, 500}),
    "a chunk that goes on": (post("Transfer-Encoding: chunked\r\n", b"2\r\nhello\r\n0\r\n\r\n"), {400}),
    "two framings": (post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), {400}),
    "two lengths": (post("Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), {400}),
    "a length below nothing": (post("Content-Length: -5\r\n", b"hello"), {400}),
    "a length in words": (post("Content-Length: five\r\n", b"hello"), {400}),
    "a length beyond all": (post("Content-Length: 99999999999999999999999\r\n", b"hello"), {400, 413}),
    "more than is taken": (post("Content-Length: 999999999\r\n", b"hello"), {413}),
    "another encoding": (post("Transfer-Encoding: gzip\r\n", b"hello"), {400, 501}),
    "less than announced": (post("Content-Length: 500\r\n", b"{}"), set()),
    "no JSON": (post("Content-Type: application/json\r\nContent-Length: 5\r\n", b"\xff\xfe{}["), {400}),
}


@pytest.mark.parametrize("name", GARBLED)
def test_garbled(portal, name):
    data, expected = GARBLED[name]
    with portal.connect() as connection:
        connection.settimeout(3)
        with contextlib.suppress(OSError):  # it hangs up when it has had enough
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        found = statuses(all_of(connection))
    # libmicrohttpd 0.9.75 says it twice when it is its own answer
    assert len(found) <= 2 and set(found) <= expected, found
    portal.check_in()


def test_what_follows_too_short_a_length(portal):
    """Is another request, and none that anybody is let in by."""
    with portal.connect() as connection:
        connection.sendall(b"POST " + CHECKIN.encode() + b" HTTP/1.1\r\nHost: p\r\nContent-Length: 2\r\n\r\n{}{\"server_id\": 1}\r\n\r\n")
        found = statuses(all_of(connection))
    assert found and set(found) == {400}
    portal.check_in()


def test_one_after_the_other_without_waiting(portal):
    with portal.connect() as connection:
        asked = b"GET /healthz HTTP/1.1\r\nHost: p\r\n"
        connection.sendall((asked + b"\r\n") * 99 + asked + b"Connection: close\r\n\r\n")
        assert statuses(all_of(connection)) == [200] * 100


def test_whoever_only_listens_any_more_is_answered(portal):
    with portal.connect() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert statuses(all_of(connection)) == [401]


# ------------------------------------------------------------------------------------------------------------------- slow ones

def blob(portal):
    path = max((path for path in portal.public.glob("blobs/**/*") if path.is_file()), key=lambda path: path.stat().st_size)
    return f"/{path.relative_to(portal.public)}"


def slow_ones(portal):
    """What they say before they fall asleep, and how many of each there are."""
    return [
        (b"", 1000),
        (b"GET /feeds/main/metadata/timest", 100),
        (b"GET / HTTP/1.1\r\nHost: p\r\nX-Slow: ", 100),
        (post("Content-Length: 60000\r\n", b"{" + b" " * 30_000), 100),
        (post("Transfer-Encoding: chunked\r\n", b"7530\r\n" + b" " * 20_000), 100),
        (f"GET {blob(portal)} HTTP/1.1\r\nHost: p\r\n\r\n".encode(), 100),  # and does not read it
    ]


def test_slow_ones_are_in_nobodys_way(portal, host):
    n_before, mb_before = portal.n_descriptors(), portal.resident_mb()
    with contextlib.ExitStack() as stack:
        sleepers = [(stack.enter_context(portal.connect()), said) for said, n in slow_ones(portal) for _ in range(n)]
        for connection, said in sleepers:
            connection.sendall(said)
        lab.wait_until(lambda: portal.n_descriptors() >= n_before + len(sleepers), 60, "all are connected")
        for _ in range(20):
            portal.check_in()
            for connection, said in sleepers[1000:1200]:  # a byte of a header now and then
                connection.sendall(b"x")
        assert FIRST in host.kcarectl("--check").out
        portal.must("kcare", "deploy", portal.archive(SECOND, [kernel_patch(2)]))
        assert SECOND in host.kcarectl("--check").out
        assert portal.resident_mb() - mb_before < KEPT_MB
    lab.wait_until(lambda: portal.n_descriptors() <= n_before + 10, 60, "what they had is free again")
    portal.check_in()


@pytest.mark.long
def test_slow_ones_are_hung_up_on(portal):
    """eportald(8): 30 seconds of silence, or a minute and less than a byte each millisecond."""
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        sleepers = [stack.enter_context(portal.connect()) for said, _ in slow_ones(portal)]
        for connection, (said, _) in zip(sleepers, slow_ones(portal)):
            connection.sendall(said)
        dribbles = sleepers[1:3]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begin < 100:
                time.sleep(5)
                for connection in dribbles:
                    connection.sendall(b"x")
        assert 30 < time.monotonic() - begin < 100
        for connection in sleepers:
            all_of(connection)
    assert time.monotonic() - begin < 130
    portal.check_in()


# ------------------------------------------------------------------------------------------------------------------------ TLS

def test_garbled_tls(build_folder, tmp_path):
    make_certificate(tmp_path / "tls", "portal.example")
    settings = {"TLS_CERTIFICATE": tmp_path / "tls/cert.pem", "TLS_KEY": tmp_path / "tls/key.pem"}
    trusting = ssl.create_default_context(cafile=tmp_path / "tls/cert.pem")
    hello = ssl.MemoryBIO()
    half = trusting.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="portal.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    hello = hello.read()
    with Fleet(build_folder, tmp_path / "portal", **settings) as portal, contextlib.ExitStack() as stack:
        for said in (b"GET /healthz HTTP/1.1\r\nHost: p\r\n\r\n", bytes(5000), hello[:60] + bytes(500), hello + os.urandom(3000)):
            connection = stack.enter_context(portal.connect())
            connection.sendall(said)
            assert not statuses(all_of(connection)), "nothing is said without TLS"
        for said in (b"", hello[:20], hello):  # and falls asleep
            for _ in range(50):
                stack.enter_context(portal.connect()).sendall(said)
        with trusting.wrap_socket(portal.connect(), server_hostname="portal.example") as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
            assert statuses(all_of(connection)) == [200]
