# SPDX-License-Identifier: GPL-2.0-or-later
"""What any call may be answered, whatever it asks for: `x-kcare-everywhere` of api/openapi.yaml."""
import contextlib
import fcntl
import http.client
import json
import os
import shutil
import subprocess

import pytest

import cases
import lab
from conftest import CONTRACT


def check(answer, status, error):
    CONTRACT.check(CONTRACT.operations["health"], answer, everywhere=True)
    assert answer.status == status and answer.json["error"] == error, answer


def bad_framing(api):
    return api.send("GET", "/healthz", headers={"Transfer-Encoding": "gzip"}), "bad-input"


def no_path(api):
    return api.send("GET", "/admin/api/nothing", by="admin"), "not-found"


def no_method(api):
    return api.send("PUT", "/healthz"), "method-not-allowed"


def body_of_a_get(api):
    return api.send("GET", "/healthz", body=b"x"), "over-limit"


def large_headers(api):
    return api.send("GET", "/healthz", headers={"X-Long": "x" * (17 << 10)}), "over-limit"


def too_many_at_once(api):
    """Half-sent requests, for one address that the proxy names, until there is no place."""
    with contextlib.ExitStack() as stack:
        for _ in range(100):  # CONNECTIONS_PER_ADDRESS
            connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", api.portal.port, timeout=60)))
            connection.putrequest("POST", "/admin/api/kcare/register")
            connection.putheader("X-Forwarded-For", api.address)
            connection.putheader("Content-Length", "10")
            connection.endheaders(b"{")
        lab.wait_until(lambda: api.send("GET", "/healthz").status == 429, 60, "all of them are being read")
        return api.send("GET", "/healthz"), "too-many-requests"


def our_fault(api):
    """No folder for reports can be made where a file is."""
    reports = api.portal.data / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.write_text("in the way")
    try:
        answer = cases.good(api, "agentDoctor", everywhere=True)
        assert str(reports) in api.portal.said() and str(reports) not in answer.text, "the log says more than the answer"
        return answer, "system"
    finally:
        reports.unlink()


def no_space(api):
    """The folder of reports is on a disk of its own, which is small."""
    reports = api.portal.data / "reports"
    reports.mkdir(mode=0o700, exist_ok=True)
    if os.getuid():
        pytest.skip("a disk of its own needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", reports], check=True)
    try:
        return api.ask("agentDoctor", cases.VALUES["agentDoctor"](api) | {"report": "x" * 200_000}, everywhere=True), "no-space"
    finally:
        subprocess.run(["umount", reports], check=True)


CASES = {400: bad_framing, 404: no_path, 405: no_method, 413: body_of_a_get, 429: too_many_at_once, 431: large_headers, 500: our_fault,
         507: no_space}


@pytest.mark.parametrize("status", CONTRACT.everywhere)
def test_everywhere(request, api, status):
    if status == 503:
        check(*too_many_connections(request.getfixturevalue("following")))
        return
    answer, error = CASES[status](api)
    check(answer, status, error)


def too_many_connections(api):
    """The portal that follows has ten places."""
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", api.portal.port, timeout=60)))
            connection.connect()
        lab.wait_until(lambda: api.send("GET", "/healthz").status == 503, 60, "all of them are taken")
        answer = api.send("GET", "/healthz")
    assert 5 <= int(answer.headers["Retry-After"]) <= 20
    return answer, 503, "busy"


def test_a_body_in_pieces_that_grows_too_large(api):
    """Nobody announces how much it will be."""
    connection = http.client.HTTPConnection("127.0.0.1", api.portal.port, timeout=60)
    with contextlib.closing(connection):
        pieces = [b"x" * 1024] * 65
        connection.request("POST", "/admin/api/kcare/register", body=iter(pieces), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked", "X-Forwarded-For": api.address})
        answer = connection.getresponse()
        assert answer.status == 413 and json.loads(answer.read())["error"] == "over-limit"


def test_a_query_of_many_parameters(api):
    answer = api.ask("listPatchsets", {"distro": ["debian12"] * 290 + ["x"] * 10})
    assert answer.status == 200, answer


def test_another_program_at_work(api):
    """kcare-repo beside the portal: calls wait for its lock, lists of the database do not."""
    with (api.portal.data / "repository/private/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert api.ask("listKeys").status == 200
        assert api.ask("health").status == 200


def test_a_report_as_large_as_may_be(api):
    values = cases.VALUES["agentDoctor"](api)
    report = "x" * ((4 << 20) - 400)
    assert len(json.dumps(values | {"report": report})) < 4 << 20
    key = api.must("agentDoctor", values | {"report": report})["key"]
    assert report in (api.portal.data / f"reports/{key}.txt").read_text()
    (api.portal.data / f"reports/{key}.txt").unlink()
