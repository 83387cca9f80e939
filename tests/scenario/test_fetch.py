# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads through kcare-fetch: servers that fail, stall, lie and attack; redirects; what is continued."""

import contextlib
import hashlib
import pathlib
import re
import socket
import time
from email.utils import formatdate

import pytest

from downloads import (  # noqa: F401 (fixtures)
    CONTENT, SHA256, SIZE, answer, expect, expect_file, fetch, from_first_byte, partial, path, programs, serve,
)
from lab import DONE, FAILED, INPUT, NETWORK, REFUSED, free_port

# ------------------------------------------------------------------------------------------------------- good servers


def test_content_comes_as_it_is(serve, fetch, path):
    server = serve(from_first_byte)
    result = fetch.get(server.url)
    expect(result, DONE)
    assert result.out == CONTENT
    expect_file(fetch.file(server.url, path), path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_name_is_looked_up(serve, fetch):
    """With the threads of libcurl, in the cage."""
    server = serve(from_first_byte)
    assert fetch.get(server.url.replace("127.0.0.1", "localhost")).out == CONTENT


def test_one_connection_for_all(serve, fetch):
    server = serve(from_first_byte)
    result = fetch("get", *[f"{server.url}/{i}" if i % 2 == 0 else SIZE for i in range(6)])
    expect(result, DONE, f"requests 3 bytes {3 * SIZE} ")
    assert result.out == 3 * CONTENT
    assert (len(server.requests), server.n_connections) == (3, 1)


def test_what_we_ask(serve, fetch):
    """Our name, and nothing about compression: what is not unpacked cannot be a bomb."""
    server = serve(lambda request: answer(b"x"))
    expect(fetch.get(f"{server.url}/a%20b?c"), DONE)
    expect(fetch.get(server.url, user_agent="other"), DONE)
    first, second = server.requests
    version = (pathlib.Path(__file__).resolve().parents[2] / "VERSION").read_text().strip()
    assert first.line == "GET /a%20b?c HTTP/1.1"
    assert first.headers["user-agent"] == f"kcare/{version}"
    assert second.headers["user-agent"] == "other"
    assert "accept-encoding" not in first.headers and "authorization" not in first.headers


def test_compressed_content_stays_compressed(serve, fetch):
    server = serve(lambda request: answer(b"\x1f\x8bnot gzip", headers=["Content-Encoding: gzip"]))
    assert fetch.get(server.url).out == b"\x1f\x8bnot gzip"


def test_server_time(serve, fetch):
    server = serve(lambda request: answer(b"x", headers=["Date: Wed, 18 Nov 2026 10:00:00 GMT"]))
    expect(fetch.get(server.url), DONE, "time 1794996000")


def test_empty_content(serve, fetch, path):
    server = serve(lambda request: answer())
    result = fetch.get(server.url)
    expect(result, DONE)
    assert result.out == b""
    expect(fetch.file(server.url, path, 0, hashlib.sha256().hexdigest()), DONE)
    assert path.read_bytes() == b""


def test_chunked(serve, fetch, path):
    def handle(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, SIZE, 100000):
            piece = CONTENT[at:at + 100000]
            request.connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        return b"0\r\n\r\n"

    server = serve(handle)
    assert fetch.get(server.url).out == CONTENT
    expect_file(fetch.file(server.url, path), path)


# ------------------------------------------------------------------------------------------------------- bad servers


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_not_found(serve, fetch, status):
    server = serve(lambda request: answer(b"sorry", status))
    result = fetch.get(server.url)
    expect(result, FAILED, f"fetch_one: not-found: {server.url}: the server has no such file ({status[:3]})")
    assert result.out == b"" and len(server.requests) == 1


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "300 Choose", "304 Not Modified", "400 Bad",
                                    "403 Forbidden", "999 Odd"])
def test_other_status_is_final(serve, fetch, status):
    server = serve(lambda request: answer(b"" if status[:3] in ("204", "304") else b"why", status))
    expect(fetch.get(server.url), NETWORK, f"server: {server.url}: the server answers with status {status[:3]}")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["408 Timeout", "429 Too Many", "500 Oops", "503 Busy", "599 Odd"])
def test_passing_failure_is_tried_again(serve, fetch, status):
    server = serve(lambda request: answer(b"no", status) if request.number < 2 else from_first_byte(request))
    result = fetch.get(server.url)
    expect(result, DONE, f"{server.url}: the server answers with status {status[:3]}; trying again in ")
    assert result.out == CONTENT and len(server.requests) == 3


def test_tries_end(serve, fetch):
    server = serve(lambda request: answer(b"", "500 Oops"))
    expect(fetch.get(server.url), NETWORK, "server: ", "status 500")
    assert len(server.requests) == 5
    expect(fetch.get(server.url, tries=1), NETWORK)
    assert len(server.requests) == 6


def test_pauses_grow_with_jitter(serve, fetch):
    server = serve(lambda request: answer(b"", "503 Busy"))
    runs = [re.findall(r"trying again in ([0-9.]+) s", fetch.get(server.url, retry_ms=400, tries=3).err) for _ in range(4)]
    assert all(len(run) == 2 and float(run[0]) <= 0.4 and float(run[1]) <= 0.8 for run in runs), runs
    assert len({pause for run in runs for pause in run}) > 3, "no jitter"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after(serve, fetch, form):
    """As seconds, and as a date (whole seconds: up to one less)."""
    value = "2" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
    server = serve(lambda request: from_first_byte(request) if request.number else
                   answer(b"", "429 Too Many", [f"Retry-After: {value}"]))
    result = fetch.get(server.url)
    expect(result, DONE)
    assert 1 <= float(re.search(r"again in ([0-9.]+) s", result.err)[1]) <= 3 and result.seconds >= 1


def test_retry_after_a_year_is_two_minutes(serve, fetch):
    server = serve(lambda request: answer(b"", "503 Busy", ["Retry-After: 31536000"]))
    with fetch.start("get", server.url, 10, total_ms=300000) as process:
        lines = []
        while "trying again in 120.0 s" not in "".join(lines):
            lines.append(process.stderr.readline().decode())
            assert lines[-1], lines
        process.kill()


def test_retry_after_beyond_the_limit_is_not_waited_for(serve, fetch):
    server = serve(lambda request: answer(b"", "503 Busy", ["Retry-After: 60"]))
    result = fetch.get(server.url)
    expect(result, NETWORK, "status 503")
    assert result.seconds < 10 and len(server.requests) == 1


def test_refused_connection(fetch):
    url = f"http://127.0.0.1:{free_port()}/"
    result = fetch.get(url, tries=2)
    expect(result, NETWORK, f"network: {url}: Failed to connect", "; check the address, the proxy and the network")
    assert result.err.count("trying again") == 1


def test_unknown_host(fetch):
    expect(fetch.get("http://nobody.invalid/", tries=1), NETWORK, "network: ", "Could not resolve host: nobody.invalid")


def test_no_route_in_time(fetch):
    """A listener that accepts nobody: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as others:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(listener.getsockname())
        result = fetch.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", connect_ms=1000, tries=1)
    expect(result, NETWORK, "network: ")
    assert result.seconds < 5


def test_stall_before_the_answer(serve, fetch):
    server = serve(lambda request: server.over.wait(60) and None)
    result = fetch.get(server.url, tries=1)
    expect(result, NETWORK, f"stalled: {server.url}: Operation too slow")
    assert result.seconds < 8


def test_stall_in_the_body_goes_on(serve, fetch, path):
    def handle(request):
        if request.number:
            return from_first_byte(request)
        request.connection.sendall(answer(CONTENT[:70000], length=SIZE))
        return server.over.wait(60) and None

    server = serve(handle)
    expect_file(fetch.file(server.url, path), path)
    assert server.requests[1].first_byte == 70000


def test_drip_ends_at_the_total_limit(serve, fetch):
    def handle(request):
        request.connection.sendall(answer(length=1000))
        while not server.over.wait(0.3):
            request.connection.sendall(b"xxx")

    server = serve(handle)
    result = fetch.get(server.url, total_ms=4000)
    expect(result, NETWORK, "stalled: ", "Operation timed out")
    assert 3.5 < result.seconds < 9


def test_truncated(serve, fetch):
    def handle(request):
        request.connection.sendall(answer(b"half", length=8))

    server = serve(handle)
    result = fetch.get(server.url, tries=2)
    expect(result, INPUT, "truncated: ", "transfer closed with 4 bytes remaining")
    assert result.out == b"" and len(server.requests) == 2


@pytest.mark.parametrize("how", ["announced", "endless", "chunked"])
def test_endless_body(serve, fetch, how):
    head = {"announced": "Content-Length: 99999999999999", "endless": "Connection: close",
            "chunked": "Transfer-Encoding: chunked"}[how]

    def handle(request):
        request.connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        piece = b"x" * 65536
        while True:
            request.connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if how == "chunked" else piece)

    server = serve(handle)
    result = fetch.get(server.url, 100000)
    expect(result, INPUT, f"over-limit: {server.url}: the server ", "100000 are allowed here")
    assert len(server.requests) == 1 and result.out == b""


def test_limit_is_exact(serve, fetch):
    server = serve(lambda request: answer(b"12345"))
    assert fetch.get(server.url, 5).out == b"12345"
    expect(fetch.get(server.url, 4), INPUT, "over-limit: ", "announces 5 bytes; 4 are allowed here")


def test_endless_error_page(serve, fetch):
    """The status counts; what follows is not read to its end."""
    def handle(request):
        request.connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
        while True:
            request.connection.sendall(b"x" * 65536)

    result = fetch.get(serve(handle).url)
    expect(result, FAILED, "not-found: ")
    assert result.seconds < 5


@pytest.mark.parametrize("form", ["lines", "line"])
def test_endless_headers(serve, fetch, form):
    def handle(request):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            request.connection.sendall(b"X-Y: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n" if form == "lines" else b"x" * 4096)

    result = fetch.get(serve(handle).url, tries=1)
    expect(result, NETWORK, "server: ")
    assert result.seconds < 5


@pytest.mark.parametrize("text", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\1\2\3\4\5\6\7\n\n", b"HTTP/9.9 200 OK\r\n\r\nx",
                                  b"HTTP/1.1 abc\r\n\r\n"])
def test_garbage(serve, fetch, text):
    server = serve(lambda request: request.connection.sendall(text))
    result = fetch.get(server.url, tries=3)
    expect(result, NETWORK, "server: ")
    assert len(server.requests) == 1 and result.out == b""


def test_closed_without_an_answer(serve, fetch):
    server = serve(lambda request: None)
    expect(fetch.get(server.url, tries=2), NETWORK, "network: ", "Empty reply from server")


def test_hostile_text_does_not_reach_the_terminal(serve, fetch):
    server = serve(lambda request: answer(b"", "302 Found", ["Location: http://x/\x1b]0;owned\x07\x9b31m"]))
    result = fetch.get(server.url)
    expect(result, REFUSED, "redirect: ")
    assert not re.search(r"[^\x20-\x7e\n]", result.err), result


# --------------------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize("to", ["/new", "{url}/new", "new", "?x"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_redirect_on_the_same_server(serve, fetch, to, status):
    def handle(request):
        return from_first_byte(request) if request.number else answer(b"", status, [f"Location: {to}".format(url=server.url)])

    server = serve(handle)
    result = fetch.get(f"{server.url}/old")
    expect(result, DONE, "requests 2 ")
    assert result.out == CONTENT


@pytest.mark.parametrize("to", ["http://127.0.0.2:{port}/", "http://127.0.0.1:{other}/", "https://127.0.0.1:{port}/",
                                "file:///etc/passwd", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/_x",
                                "//localhost:{port}/x", "http://127.0.0.1@127.0.0.2:{port}/"])
def test_redirect_elsewhere_is_refused(serve, fetch, to, path):
    other = serve(from_first_byte)
    server = serve(lambda request: answer(b"", "302 Found", [f"Location: {to}".format(port=server.port, other=other.port)]))
    where = to.format(port=server.port, other=other.port)
    where = where if "://" in where else f"http:{where}"
    for result in (fetch.get(server.url), fetch.file(server.url, path)):
        expect(result, REFUSED, f"redirect: {server.url}: the server redirects to {where}; only redirects on the same")
    assert len(server.requests) == 2 and not other.requests and not path.exists()


def test_redirect_in_a_circle(serve, fetch):
    server = serve(lambda request: answer(b"", "302 Found", [f"Location: /{request.number}"]))
    expect(fetch.get(server.url), REFUSED, "redirect: ", "redirects more than 5 times, at last to ")
    assert len(server.requests) == 6


def test_range_is_kept_over_a_redirect(serve, fetch, path):
    server = serve(lambda request: answer(b"", "302 Found", ["Location: /there"]) if request.path == "/" else
                   from_first_byte(request))
    path.write_bytes(CONTENT[:1000])
    path.chmod(0o600)
    expect_file(fetch.file(server.url + "/", path), path)
    assert [request.first_byte for request in server.requests] == [1000, 1000]


# ----------------------------------------------------------------------------------------------------------- resuming


def test_earlier_run_is_continued(serve, fetch, path, partial):
    server = serve(from_first_byte)
    partial(CONTENT[:123456])
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == [123456]


def test_complete_file_is_not_asked_for(serve, fetch, path, partial):
    server = serve(from_first_byte)
    partial(CONTENT)
    expect_file(fetch.file(server.url, path), path)
    assert not server.requests


def test_cut_again_and_again(serve, fetch, path):
    def handle(request):
        first = request.first_byte
        request.connection.sendall(from_first_byte(request)[:150000])
        return None if first + 150000 < SIZE else b""

    server = serve(handle)
    expect_file(fetch.file(server.url, path), path)
    assert len(server.requests) == 4 and len({request.first_byte for request in server.requests}) == 4


def test_reset_in_the_middle(serve, fetch, path):
    def handle(request):
        if request.number:
            return from_first_byte(request)
        request.connection.sendall(from_first_byte(request)[:100000])
        time.sleep(0.5)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        request.connection.close()

    server = serve(handle)
    expect_file(fetch.file(server.url, path), path)
    assert len(server.requests) == 2


@pytest.mark.parametrize("old", [b"x" * 1000, b"x" * (SIZE - 1), b"x" * SIZE, b"x" * (SIZE + 1)],
                         ids=["beginning", "all but one", "all", "more"])
def test_wrong_partial_is_begun_anew_once(serve, fetch, path, partial, old):
    server = serve(from_first_byte)
    partial(old)
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == ([len(old), 0] if len(old) < SIZE else [0])


def test_content_that_changes_while_resuming(serve, fetch, path):
    """First half old, second half new: the hash tells; then anew."""
    def handle(request):
        if request.number == 0:
            request.connection.sendall(answer(b"o" * 200000, length=SIZE))
            return None
        return from_first_byte(request)

    server = serve(handle)
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == [0, 200000, 0]


def test_other_length_while_resuming(serve, fetch, path, partial):
    other = CONTENT + b"more"
    server = serve(lambda request: from_first_byte(request, other if request.first_byte else CONTENT))
    partial(CONTENT[:1000])
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == [1000, 0]


def test_part_beyond_the_end(serve, fetch, path, partial):
    server = serve(lambda request: answer(b"", "416 Range Not Satisfiable") if request.first_byte else answer(CONTENT))
    partial(CONTENT[:1000])
    expect_file(fetch.file(server.url, path), path)


@pytest.mark.parametrize("given", ["bytes 0-{end}/{size}", "bytes 999-{end}/{size}", "bytes 1001-{end}/{size}", "bytes */10", ""])
def test_another_part_than_asked_for(serve, fetch, path, partial, given):
    given = given.format(end=SIZE - 1, size=SIZE)
    server = serve(lambda request: answer(CONTENT[1000:], "206 Partial Content", [f"Content-Range: {given}"])
                   if request.first_byte else answer(CONTENT))
    partial(CONTENT[:1000])
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == [1000, 0]


def test_part_that_nobody_asked_for(serve, fetch):
    server = serve(lambda request: answer(b"xx", "206 Partial Content", ["Content-Range: bytes 0-1/100"]))
    expect(fetch.get(server.url), NETWORK, "server: ", "answers with another part")


def test_nothing_came(serve, fetch, path, partial):
    """No empty file is left, and an earlier part stays."""
    server = serve(lambda request: answer(b"", "404 Not Found"))
    expect(fetch.file(server.url, path), FAILED, "not-found: ")
    assert not path.exists()
    partial(CONTENT[:1000])
    expect(fetch.file(server.url, path), FAILED, "not-found: ")
    assert path.read_bytes() == CONTENT[:1000]


def test_server_without_ranges(serve, fetch, path, partial):
    server = serve(lambda request: answer(CONTENT))
    partial(CONTENT[:1000])
    expect_file(fetch.file(server.url, path), path)
    assert len(server.requests) == 1


def test_wrong_content(serve, fetch, path):
    server = serve(lambda request: answer(b"y" * SIZE))
    result = fetch.file(server.url, path)
    expect(result, INPUT, "corrupt: ", f"instead of {SHA256}")
    assert len(server.requests) == 1 and not path.exists()


def test_wrong_content_after_wrong_partial(serve, fetch, path, partial):
    server = serve(lambda request: from_first_byte(request, b"y" * SIZE))
    partial(CONTENT[:1000])
    expect(fetch.file(server.url, path), INPUT, "corrupt: ")
    assert len(server.requests) == 2 and not path.exists()


@pytest.mark.parametrize("size,name", [(SIZE - 1, "corrupt"), (SIZE + 1, "over-limit")])
def test_wrong_length(serve, fetch, path, size, name):
    server = serve(lambda request: answer((CONTENT + b"x")[:size]))
    expect(fetch.file(server.url, path), INPUT, f"{name}: {server.url}: ")
    assert len(server.requests) == 1 and not path.exists()


def test_short_content_without_a_length(serve, fetch, path):
    """The end of the connection may be a cut: the rest is asked for."""
    def handle(request):
        first = request.first_byte
        part = b"HTTP/1.0 206 Part\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (first, SIZE - 1, SIZE)
        request.connection.sendall((part if first else b"HTTP/1.0 200 OK\r\n\r\n") + CONTENT[first:first + 200000])

    server = serve(handle)
    expect_file(fetch.file(server.url, path), path)
    assert [request.first_byte for request in server.requests] == [0, 200000, 400000]
