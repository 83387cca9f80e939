# SPDX-License-Identifier: GPL-2.0-or-later
"""What is sent through kcare-fetch: once, as it is, and never twice where it could have been read."""

import socket
import time

import pytest

from downloads import answer, expect, fetch, programs, serve  # noqa: F401 (fixtures)
from lab import DONE, FAILED, INPUT, NETWORK, REFUSED, free_port
from test_fetch_host import hostile  # noqa: F401 (fixture)


def test_body_comes_as_it_is(serve, fetch):
    server = serve(lambda request: answer(b'{"answer":1}'))
    result = fetch.post(f"{server.url}/a", b'{"a":"\xc3\xa4"}')
    expect(result, DONE, "status 200")
    assert result.out == b'{"answer":1}'
    request, = server.requests
    assert (request.line, request.body) == ("POST /a HTTP/1.1", b'{"a":"\xc3\xa4"}')
    assert request.headers["content-type"] == "application/json" and "expect" not in request.headers


def test_long_body(serve, fetch):
    """In many packets; the longest one passes, and one byte more is not sent."""
    server = serve(lambda request: answer(b"{}"))
    body = bytes(range(256)) * (4 << 12)
    expect(fetch.post(server.url, body), DONE, "status 200")
    assert server.requests[0].body == body
    expect(fetch.post(server.url, body + b"x"), INPUT, "over-limit: 4194305 bytes are to be sent; 4194304 is the limit")
    assert len(server.requests) == 1


def test_empty_body(serve, fetch):
    server = serve(lambda request: answer(b""))
    expect(fetch.post(server.url, b""), DONE, "status 200")
    assert server.requests[0].method == "POST" and server.requests[0].body == b""


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "409 Conflict", "416 Range",
                                    "429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable",
                                    "204 No Content"])
def test_body_of_an_error_is_delivered(serve, fetch, status):
    body = b"" if status.startswith("204") else b'{"error":"x"}'
    server = serve(lambda request: answer(body, status))
    result = fetch.post(server.url)
    expect(result, DONE, f"status {status[:3]}\n")
    assert result.out == body and len(server.requests) == 1


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_retry_after_is_obeyed(serve, fetch, status):
    answers = [answer(b"later", status, ["Retry-After: 1"]), answer(b"now")]
    server = serve(lambda request: answers[request.number])
    begin = time.monotonic()
    result = fetch.post(server.url, b"{}")
    expect(result, DONE, "status 200")
    assert result.out == b"now" and time.monotonic() - begin > 0.9
    assert [request.body for request in server.requests] == [b"{}", b"{}"]


def test_retry_after_for_ever_ends(serve, fetch):
    """What it said in the end is delivered."""
    server = serve(lambda request: answer(b"no", "503 Service Unavailable", ["Retry-After: 1"]))
    result = fetch.post(server.url, tries=3)
    expect(result, DONE, "status 503")
    assert result.out == b"no" and len(server.requests) == 3


def test_not_reached_is_tried_again(fetch):
    port = free_port()
    result = fetch.post(f"http://127.0.0.1:{port}/", tries=3)
    expect(result, NETWORK, "network: ")
    assert result.err.count("trying again") == 2


def test_sent_and_unanswered_is_not_sent_again(serve, fetch):
    """It may have been read: closed without an answer, reset, silence, half an answer."""
    def silent(request):
        server.over.wait(10)

    def cut(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")

    def reset(request):
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    for handle, code, name in ((lambda request: None, NETWORK, "network"), (reset, NETWORK, "network"),
                               (silent, NETWORK, "stalled"), (cut, INPUT, "truncated")):
        server = serve(handle)
        expect(fetch.post(server.url, stall_ms=1000), code, f"{name}: ")
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirect_is_not_followed(serve, fetch, status):
    server = serve(lambda request: answer(b"", status, [f"Location: {server.url}/elsewhere"]))
    expect(fetch.post(server.url), REFUSED, "redirect: ", "nothing is sent there")
    assert len(server.requests) == 1


def test_endless_answer(serve, fetch):
    server = serve(lambda request: answer(b"x" * 1001, "400 Bad Request"))
    expect(fetch.post(server.url, limit=1000), INPUT, "over-limit: ")
    assert fetch.post(server.url, limit=1001).out == b"x" * 1001


def test_get_after_a_post(serve, fetch):
    """One connection; the helper forgets what it sent before."""
    server = serve(lambda request: answer(request.method.encode()))
    assert fetch("post", server.url, 10, server.url, 10, send=b"{}").out == b"POSTGET"
    assert server.n_connections == 1 and server.requests[1].body == b""
    assert "content-type" not in server.requests[1].headers


def test_hostile_helper_takes_nothing(hostile):
    """It reads no packet: we do not wait for it for ever."""
    result = hostile("time.sleep(90)\n").post("http://127.0.0.1/", b"x" * (1 << 20), tries=1)
    expect(result, NETWORK, "stalled: kcare-fetch does not take what is to be sent")
    assert result.seconds < 40


def test_helper_that_dies_is_not_asked_again(hostile):
    expect(hostile("os._exit(9)").post("http://127.0.0.1/", tries=3), FAILED, "kcare-fetch ended with exit code 9")
