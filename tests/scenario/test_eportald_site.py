# SPDX-License-Identifier: GPL-2.0-or-later
"""The portal as a site runs it: as its own user within what its unit allows, and behind nginx with our sample."""
import json
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import lab
import web
from conftest import need_program, need_root
from portal import PASSWORD, Portal, make_certificate
from publishing import kernel_patch

PACKAGING = lab.TARGETS.parents[1] / "packaging"
NOBODY = 65534


# ------------------------------------------------------------------------------------------------- its user, and its unit

def allowed_calls():
    """What SystemCallFilter= of the unit leaves, in order, as systemd reads it."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", (PACKAGING / "eportald.service").read_text(), re.M):
        takes = line.startswith("~")
        for word in line.lstrip("~").split():
            calls = members(word)
            allowed = allowed - calls if takes else allowed | calls
    return allowed


def members(name, seen={}):  # pylint: disable=dangerous-default-value
    if not name.startswith("@"):
        return {name}
    if name not in seen:
        said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
        words = [line.split("#")[0].strip() for line in said.splitlines()[1:]]
        seen[name] = set().union(*(members(word) for word in words if word))
    return seen[name]


@pytest.fixture
def unprivileged(build_folder, workshop, monkeypatch):
    """Makes portals that run as nobody, where nobody may enter."""
    need_root("a process of another user")
    need_program("systemd-analyze", "systemd")
    # under a tracer the leak check cannot work
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    programs = workshop / "site-programs"
    programs.mkdir(exist_ok=True)
    for name in ("eportald", "kcare-fetch"):
        shutil.copy(build_folder / "src/cmd" / name, programs)

    def make(name, **configuration):
        portal = Portal(build_folder, workshop / name, **configuration)
        portal.program = lambda: programs / "eportald"
        portal.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all",
                         "--no-new-privs"]
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", portal.data], check=True)
        return portal

    return make


def test_it_needs_no_root_and_no_other_system_calls(unprivileged, workshop):
    need_program("strace", "strace")
    traces = workshop / "site-traces"
    traces.mkdir()
    traces.chmod(0o777)
    upstream = unprivileged("site-upstream")
    with upstream:
        upstream.must("kcare", "deploy", upstream.archive("K20261101_01", [kernel_patch(1)]))
        shutil.copy(upstream.root_json, workshop / "site-root.json")
        (workshop / "site-root.json").chmod(0o644)
        portal = unprivileged("site", author=upstream.author, UPSTREAM=upstream.url, UPSTREAM_ROOT=workshop / "site-root.json")
        portal.prefix += ["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", str(traces / "calls")]
        with portal:
            do_everything(portal, portal.data / "backup")
            status = pathlib.Path(f"/proc/{portal.process.pid}/status").read_text()
            assert re.search(rf"^Uid:(\s+{NOBODY}){{4}}$", status, re.M) and re.search(r"^CapPrm:\s+0+$", status, re.M)
    called = set(re.findall(r"^\d+ +(\w+)\(", (traces / "calls").read_text(), re.M))
    assert {"accept4", "openat2", "fdatasync"} <= called, called
    assert not called - allowed_calls(), called - allowed_calls()


def do_everything(portal, backup):
    key = portal.must("key", "-a").out.strip()
    portal.must("kcare", "update")
    assert "K20261101_01" in portal.must("kcare", "list").out
    portal.must("kcare", "deploy", portal.archive("K20261102_01", [kernel_patch(2)]))
    host = portal.register(key).json
    assert portal.call("POST", "/admin/api/kcare/licence",
                       {"server_id": host["server_id"], "secret": host["secret"]}, user=None).status == 200
    assert portal.call("GET", "/metrics", password="wrong").status == 401
    assert portal.call("GET", "/metrics").status == 200
    assert portal.call("GET", "/feeds/main/metadata/timestamp.json", user=None).status == 200
    portal.must("backup", backup)
    portal.must("restore", "--full", backup)
    portal.must("doctor")
    portal.process.send_signal(signal.SIGHUP)


# ------------------------------------------------------------------------------------------------------------ behind nginx

class Front(web.Web):
    """nginx with packaging/eportal-nginx.conf, where only names, ports and paths are other ones."""

    def __init__(self, portal, work):
        super().__init__(portal.public, work, site=f"include {work}/site.conf;")
        make_certificate(work / "tls", "portal.example.org")
        text = (PACKAGING / "eportal-nginx.conf").read_text()
        for there, here in ((" 443 ssl", f" 127.0.0.1:{self.port} ssl"), ("127.0.0.1:8142", f"127.0.0.1:{portal.port}"),
                            ("/etc/ssl/eportal", str(work / "tls")), ("/var/lib/eportal/repository/public", str(portal.public))):
            assert there in text, there
            text = text.replace(there, here)
        (work / "site.conf").write_text(text)
        self.url = f"https://127.0.0.1:{self.port}"

    def curl(self, path, *options):
        """(status, headers, body)"""
        body, head = self.work / "curl-body", self.work / "curl-head"
        body.write_bytes(b"")
        done = subprocess.run(["curl", "-s", "--noproxy", "*", "--cacert", self.work / "tls/cert.pem", "-D", head, "-o", body,
                               *options, self.url + path], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        # the last answer: "100 Continue" may come before it
        first, *lines = head.read_text().strip().split("\n\n")[-1].splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, body.read_text()


@pytest.fixture
def behind(build_folder, tmp_path):
    need_program("curl", "curl")
    configured = {"TRUSTED_PROXIES": "127.0.0.1", "SERVE_REPOSITORY": "NO"}
    with Portal(build_folder, tmp_path / "portal", **configured) as portal:
        portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
        with Front(portal, tmp_path / "nginx") as front:
            yield portal, front


def test_nginx_serves_the_files(behind):
    portal, front = behind
    for path in sorted(portal.public.rglob("*")):
        name = str(path.relative_to(portal.public))
        if not path.is_file() or not re.search(r"^blobs/|timestamp|snapshot|/version$|^index.html", name):
            continue
        status, headers, _ = front.curl(f"/{name}", "--head")
        forever = "immutable" in headers["cache-control"]
        assert status == 200 and forever == bool(re.match(r"blobs/|feeds/[^/]+/metadata/\d", name)), (name, headers)
    assert front.curl("/index.html")[1]["content-security-policy"].startswith("default-src 'none';")
    assert front.curl("/nothing")[0] == 404
    assert front.curl("/.hidden")[0] == 404
    # and the portal itself none
    assert portal.call("GET", "/feeds/main/metadata/timestamp.json", user=None).status == 404


def test_the_portal_answers_through_nginx(behind):
    portal, front = behind
    key = portal.must("key", "-a").out.strip()
    assert json.loads(front.curl("/healthz")[2]) == {"status": "ok"}
    assert front.curl("/metrics")[0] == 404
    assert front.curl("/admin/api/keys/")[0] == 401
    assert front.curl(f"/nagios/{key}")[0] == 200
    archive = portal.archive("K20261102_01", [kernel_patch(2)], size=2_000_000)
    assert archive.stat().st_size > 1 << 20, "larger than what nginx takes if nobody says otherwise"
    status, _, body = front.curl("/admin/api/patchsets/deploy?feed=main&product=kernel", "--data-binary", f"@{archive}",
                                 "-H", "Content-Type: application/octet-stream", "-u", f"admin:{PASSWORD}")
    assert status == 200, body
    assert "K20261102_01" in portal.must("kcare", "list").out


def test_the_client_is_known_through_nginx(behind):
    """The address that is kept is the client's, and not what he says of himself."""
    portal, front = behind
    key = portal.must("key", "-a").out.strip()
    status, _, body = front.curl("/admin/api/kcare/register", "--interface", "127.0.0.2", "-H", "X-Forwarded-For: 6.6.6.6",
                                 "-H", "Content-Type: application/json",
                                 "-d", json.dumps({"key": key, "hostname": "h", "machine_id": "m"}))
    assert status == 200, body
    listed = portal.call("GET", "/admin/api/servers").text
    assert "127.0.0.2" in listed and "6.6.6.6" not in listed, listed
    # nor does the portal believe those who come to it directly from elsewhere
    done = subprocess.run(["curl", "-s", "--noproxy", "*", "--interface", "127.0.0.3", "-H", "X-Forwarded-For: 6.6.6.6",
                           f"{portal.url}/healthz"], capture_output=True, check=True, timeout=30)
    assert b"ok" in done.stdout
    lab.wait_until(lambda: "127.0.0.3 GET /healthz" in portal.said(), 10, "the request is in the log")
    assert "6.6.6.6" not in portal.said()


def test_guessing_is_limited_by_the_clients_address(behind):
    _, front = behind
    statuses = [front.curl("/admin/api/keys/", "--interface", "127.0.0.4", "-u", f"guess{n}:wrong")[0] for n in range(11)]
    assert statuses[-1] == 429, statuses
    assert front.curl("/admin/api/keys/", "--interface", "127.0.0.5", "-u", f"admin:{PASSWORD}")[0] == 200


# ------------------------------------------------------------------------------------------------------------- its own TLS

def test_files_by_its_own_tls(build_folder, tmp_path):
    """Small, large, and a part: what is sent otherwise than without TLS."""
    need_program("curl", "curl")
    make_certificate(tmp_path / "tls", "portal.example.org")
    with Portal(build_folder, tmp_path / "portal", TLS_CERTIFICATE=tmp_path / "tls/cert.pem",
                TLS_KEY=tmp_path / "tls/key.pem") as portal:
        content = bytes(range(251)) * 20000
        for name, size in (("small", 1000), ("large", len(content))):
            (portal.public / name).write_bytes(content[:size])
            for first in (0, 777):
                done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--cacert", tmp_path / "tls/cert.pem", "-r", f"{first}-",
                                       f"https://127.0.0.1:{portal.port}/{name}", f"https://127.0.0.1:{portal.port}/{name}"],
                                      capture_output=True, timeout=60, check=False)
                assert done.returncode == 0 and done.stdout == 2 * content[first:size], (name, first, done.stderr)
            done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--cacert", tmp_path / "tls/cert.pem",
                                   f"https://127.0.0.1:{portal.port}/{name}"], capture_output=True, timeout=60, check=True)
            assert done.stdout == content[:size]
