# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx serves TLS with the vulnerable libssl3 under load, is patched and unpatched again and again, and no request fails."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

import lab
from conftest import need_program
from lab import DONE

ROUNDS, LONG_ROUNDS = 10, 50

CONFIGURATION = """
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_session_cache off;
        location / {{ return 200 "hello\\n"; }}
    }}
}}
"""


@pytest.fixture
def nginx(packages, tmp_path):
    need_program("nginx", "nginx-light")
    fix = packages.derive("CVE-2026-42766")
    libraries = fix.file("libssl.so.3").parent
    port = lab.free_port()
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(folder=tmp_path, port=port))
    lab.call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
              "-days", "2", "-subj", "/CN=localhost"], tmp_path)
    server = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
                              env=dict(os.environ, LD_LIBRARY_PATH=str(libraries)), stderr=subprocess.DEVNULL)
    try:
        lab.wait_until(lambda: (tmp_path / "nginx.pid").exists() and len(lab.children_of(server.pid)) == 2, 20,
                       "nginx and its workers run")
        assert any(path == str(libraries / "libssl.so.3") for _, _, _, path in lab.executable_maps(server.pid))
        yield fix, port, [server.pid, *lab.children_of(server.pid)]
        assert server.poll() is None, (tmp_path / "error.log").read_text()
    finally:
        server.terminate()
        server.wait(20)
    errors = (tmp_path / "error.log").read_text()
    assert "exited on signal" not in errors, errors


@pytest.fixture
def patches(packages, nginx):
    """The real fix in libcrypto, and an edit of what every request runs through in libssl."""
    fix = nginx[0]
    hot = packages.edit(fix.target, "ssl/ssl_lib.c", (
        ("    ret = ssl_read_internal(s, buf, (size_t)num, &readbytes);",
         "    readbytes = 0;\n    ret = ssl_read_internal(s, buf, (size_t)num, &readbytes);"),
        ("    ret = ssl_write_internal(s, buf, (size_t)num, &written);",
         "    written = 0;\n    ret = ssl_write_internal(s, buf, (size_t)num, &written);")), "hot path of libssl")
    return packages.patch(fix.target, fix.path, hot)


@contextlib.contextmanager
def load(tool, port, path):
    """Goes on until the end; then `path` has what the tool counted."""
    url = f"https://127.0.0.1:{port}/"
    if tool == "wrk":
        need_program("wrk", "wrk")
        command = ["wrk", "-t1", "-c16", "-d900", "--timeout", "20s", url]
    elif tool == "wrk with a handshake for each request":
        need_program("wrk", "wrk")
        command = ["wrk", "-t1", "-c16", "-d900", "--timeout", "20s", "-H", "Connection: close", url]
    else:
        need_program("h2load", "nghttp2-client")
        command = ["sh", "-c", f"trap 'exit 0' INT; while h2load -c8 -m4 -n20000 {url}; do :; done"]
    with open(path, "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def failures(tool, text):
    """(requests that were answered, those that failed)"""
    if tool.startswith("wrk"):
        done = int(re.search(r"(\d+) requests in", text).group(1))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        failed = sum(map(int, errors.groups())) if errors else 0
        return done, failed + (int(refused.group(1)) if refused else 0)
    runs = re.findall(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    return sum(int(run[0]) for run in runs), sum(int(number) for run in runs for number in run[1:])


LOADS = ["wrk", "wrk with a handshake for each request", "h2load"]


@pytest.mark.parametrize("tool", LOADS, ids=["keep-alive", "handshakes", "http2"])
def test_no_request_fails_while_nginx_is_patched_and_unpatched(nginx, patches, kcare, tmp_path, tool, long):
    _, port, pids = nginx
    workers = pids[1:]
    with load(tool, port, tmp_path / "load") as process:
        for _ in range(LONG_ROUNDS if long else ROUNDS):
            for pid in workers:
                kcare.patch(pid, patches, wait=30)
            for pid in workers:
                kcare.unpatch(pid, wait=30)
            assert process.poll() is None, (tmp_path / "load").read_text()
    done, failed = failures(tool, (tmp_path / "load").read_text())
    assert failed == 0 and done > 1000, (tmp_path / "load").read_text()[-4000:]


def test_new_workers_of_a_patched_nginx_are_patched(nginx, patches, kcare):
    """The master is patched too: what it forks from then on has the patch."""
    _, _, pids = nginx
    kcare.patch(pids[0], patches, wait=10)
    os.kill(pids[1], signal.SIGTERM)
    lab.wait_until(lambda: len(set(lab.children_of(pids[0])) - set(pids)) == 1, what="a new worker")
    worker = (set(lab.children_of(pids[0])) - set(pids)).pop()
    assert kcare.info(worker)["libssl.so.3"]["patchlvl"] == 1
    assert kcare.ctl("unpatch", "-p", worker, "--wait", 10).code == DONE
