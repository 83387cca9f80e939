# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads through kcare-fetch: files of others, a full disk, and a helper that nobody trusts."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

import lab
from conftest import need_program, need_root, run
from downloads import (  # noqa: F401 (fixtures)
    CONTENT, Fetch, SHA256, SIZE, answer, clean_environment, expect, expect_file, fetch, from_first_byte, path,
    programs, serve,
)
from lab import DONE, FAILED, INPUT, LOCKED, NETWORK, REFUSED, USAGE

# ----------------------------------------------------------------------------------------------------- files, disks


def test_full_disk(serve, fetch, tmp_path):
    """What came in stays, and the next run goes on with it."""
    need_root("a tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    server = serve(from_first_byte)
    run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=755", "none", disk])
    try:
        (disk / "other").write_bytes(b"here first")
        result = fetch.file(server.url, disk / "content")
        expect(result, FAILED, f"no-space: {server.url}: cannot write {disk}/content; what is there is continued next time: "
               "No space left on device")
        here = (disk / "content").stat().st_size
        assert 100000 < here < 210000 and (disk / "content").read_bytes() == CONTENT[:here]
        assert (disk / "other").read_bytes() == b"here first" and len(server.requests) == 1
        run(["mount", "-o", "remount,size=2m", disk])
        expect_file(fetch.file(server.url, disk / "content"), disk / "content")
        assert server.requests[1].first_byte == here
    finally:
        run(["umount", disk])


def test_link(serve, fetch, path, tmp_path):
    server = serve(from_first_byte)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o600)
    path.symlink_to(victim)
    expect(fetch.file(server.url, path), REFUSED, f"permission: {path} is a link; remove it")
    path.unlink()
    path.hardlink_to(victim)
    expect(fetch.file(server.url, path), REFUSED, f"permission: {path} is not a file of ours alone; remove it")
    assert victim.read_bytes() == b"precious" and not server.requests


def test_file_of_somebody_else(serve, fetch, path):
    need_root("another user's file")
    server = serve(from_first_byte)
    path.write_bytes(CONTENT[:1000])
    os.chown(path, 1234, 1234)
    expect(fetch.file(server.url, path), REFUSED, f"permission: {path} is not a file of ours alone; remove it")
    os.chown(path, 0, 0)
    path.chmod(0o666)
    expect(fetch.file(server.url, path), REFUSED, "permission: ")
    assert path.read_bytes() == CONTENT[:1000] and not server.requests


def test_no_file_at_all(serve, fetch, path):
    server = serve(from_first_byte)
    os.mkfifo(path)
    expect(fetch.file(server.url, path), REFUSED, "permission: ")
    path.unlink()
    path.mkdir()
    expect(fetch.file(server.url, path), FAILED, f"system: cannot open {path}: Is a directory")
    expect(fetch.file(server.url, path.parent / "no" / "content"), FAILED, "system: cannot open the folder of ")
    assert not server.requests


def test_folder_of_others(serve, fetch, path):
    server = serve(from_first_byte)
    for mode in (0o777, 0o1777, 0o775):
        path.parent.chmod(mode)
        expect(fetch.file(server.url, path), REFUSED, f"permission: {path.parent}: others may write in this folder")
    if os.geteuid() == 0:
        path.parent.chmod(0o755)
        os.chown(path.parent, 1234, 1234)
        expect(fetch.file(server.url, path), REFUSED, "permission: ")
    assert not path.exists() and not server.requests


def test_two_runs_at_one_file(serve, fetch, path):
    server = serve(lambda request: server.over.wait(60) and None)
    with fetch.start("file", server.url, SHA256, SIZE, path, stall_ms=60000, total_ms=60000) as first:
        lab.wait_until(lambda: server.requests, 10, "the first asks")
        expect(fetch.file(server.url, path), LOCKED, f"locked: another run is downloading {path}")
        first.kill()


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1/x", "/etc/passwd", "http//x"])
def test_not_an_address(fetch, url):
    expect(fetch.get(url), INPUT, f"bad-input: '{url}' is not an address that begins with http:// or https://")


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999/", "http://[::1/", "http://a:b:c/"])
def test_bad_address(fetch, url):
    expect(fetch.get(url), INPUT, f"bad-input: {url}: this is not an address: ")


@pytest.mark.parametrize("url", ["http://127.0.0.1/a b", "http://127.0.0.1/\n", "http://127.0.0.1/\u00e4"])
def test_bad_letter_in_an_address(fetch, url):
    expect(fetch.get(url), INPUT, "bad-input: an address has a blank or a letter that belongs percent-encoded, behind "
           "'http://127.0.0.1/")


def test_long_address(fetch):
    expect(fetch.get("http://127.0.0.1/" + 9000 * "x"), INPUT, "bad-input: ", "longer than 8192 bytes")


# --------------------------------------------------------------------------------------------------------- the helper


@contextlib.contextmanager
def stalled_download(serve, fetch, path, **options):
    """fetch_one in the middle of the first try; later ones succeed."""
    def handle(request):
        if request.number:
            return from_first_byte(request)
        request.connection.sendall(answer(CONTENT[:100000], length=SIZE))
        return server.over.wait(60) and None

    server = serve(handle)
    options = {"stall_ms": 60000, "total_ms": 60000, **options}
    with fetch.start("file", server.url, SHA256, SIZE, path, **options) as process:
        lab.wait_until(lambda: path.exists() and path.stat().st_size == 100000, 20, "half is here")
        yield process, lab.children_of(process.pid)[0], server
        process.kill()


def test_helper_has_no_privileges(serve, fetch, path, programs):
    with stalled_download(serve, fetch, path) as (process, helper, _):
        proc = pathlib.Path(f"/proc/{helper}")
        status = dict(re.findall(r"(\w+):\t(.*)", (proc / "status").read_text()))
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) == 0, name
        limits = (proc / "limits").read_text()
        assert re.search(r"Max file size +0 +0 ", limits) and re.search(r"Max core file size +0 +0 ", limits)
        assert os.getsid(helper) == helper != os.getsid(process.pid)
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):  # nor may others of its user look into it
                os.listdir(proc / "fd")
            return
        users, groups = set(status["Uid"].split()), set(status["Gid"].split())
        assert int(status["CapBnd"], 16) == 0
        assert len(users) == len(groups) == 1 and "0" not in users | groups and status["Groups"].strip() == ""
        files = {int(name): os.readlink(proc / "fd" / name) for name in os.listdir(proc / "fd")}
        environment = (proc / "environ").read_bytes()
        assert str(path) not in files.values() and files[0].startswith("socket:")
        assert b"PATH=" not in environment and b"HOME=" not in environment
        assert os.readlink(proc / "exe") == str(programs / "kcare-fetch")


def test_user_of_our_own(serve, fetch, path, tmp_path):
    """_kcare where /etc/passwd has it."""
    need_root("another /etc/passwd")
    passwd = tmp_path / "passwd"
    passwd.write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n_kcare:x:4321:4322::/:/bin/sh\n")
    script = 'mount --bind "$0" /etc/passwd && exec "$@"'
    server = serve(lambda request: server.over.wait(60) and None)
    command = ["unshare", "--mount", "sh", "-c", script, passwd, *fetch.command("get", server.url, 10)]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL) as process:
        lab.wait_until(lambda: server.requests, 20, "it asks")
        status = pathlib.Path(f"/proc/{lab.children_of(process.pid)[0]}/status").read_text()
        process.kill()
    assert "Uid:\t4321\t4321\t4321\t4321\n" in status and "Gid:\t4322\t4322\t4322\t4322\n" in status


def test_killed_helper_is_started_again(serve, fetch, path):
    with stalled_download(serve, fetch, path) as (process, helper, server):
        os.kill(helper, signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == DONE and path.read_bytes() == CONTENT, errors
    assert b"kcare-fetch was ended by signal 9 (Killed); trying again" in errors
    assert server.requests[1].first_byte == 100000


def test_helper_that_always_dies(serve, fetch, path):
    with stalled_download(serve, fetch, path, tries=1) as (process, helper, _):
        os.kill(helper, signal.SIGSEGV)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == FAILED and b"system: kcare-fetch " in errors, errors
    assert path.read_bytes() == CONTENT[:100000]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_helper_ends_with_its_parent(serve, fetch, path, how):
    with stalled_download(serve, fetch, path) as (process, helper, _):
        process.send_signal(how)
        process.wait(10)
        lab.wait_until(lambda: not pathlib.Path(f"/proc/{helper}/exe").is_symlink(), 5, "the helper ends")


def test_service_that_cannot_kill_the_helper(serve, fetch):
    """Root without CAP_KILL: the helper looks after its parent by itself."""
    need_root("capabilities")
    need_program("setpriv", "util-linux")
    server = serve(lambda request: server.over.wait(60) and None)
    command = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", *fetch.command("get", server.url, 10, stall_ms=60000,
                                                                                    total_ms=60000)]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL) as process:
        lab.wait_until(lambda: server.requests, 20, "it asks")
        helper = lab.children_of(process.pid)[0]
        process.kill()
    lab.wait_until(lambda: not pathlib.Path(f"/proc/{helper}/exe").is_symlink(), 5, "the helper ends")


HOSTILE = r"""#!/usr/bin/python3
import os, socket, struct, sys, time
s = socket.socket(fileno=0)
request = s.recv(100000)
def data(offset, total, body):
    return struct.pack("<IIQQ", 1, 0, offset, total) + body
def end(outcome=0, status=200, retry=0, date=0, message=b"", was_asked=1):
    return struct.pack("<IIIIIIq256s", 2, outcome, status, retry, 1, was_asked, date, message)
def flood(make):
    try:
        while True:
            s.send(make())
    except OSError:
        os._exit(0)
"""


@pytest.fixture
def hostile(fetch, tmp_path, monkeypatch):
    """A helper that somebody took over: what it does is a piece of Python."""
    folder = tmp_path / "hostile"

    def become(code):
        folder.mkdir(exist_ok=True)
        shutil.copy(fetch.program, folder)
        (folder / "kcare-fetch").write_text(HOSTILE + code)
        (folder / "kcare-fetch").chmod(0o755)
        return Fetch(folder)

    return become


@pytest.mark.parametrize("packet", [
    "b'x'", "b'x' * 70000", "struct.pack('<I', 1)", "struct.pack('<I', 3) + bytes(400)", "data(0, 10, b'')",
    "data(0, 2, b'xyz')", "data(2**64 - 1, 2**64 - 1, b'xx')", "data(0, 2**64 - 1, b'x' * 65537)",
    "struct.pack('<IIQQ', 1, 7, 0, 10) + b'x'", "end()[:-1]", "end() + b'x'", "end(outcome=12)", "end(outcome=2**32 - 1)",
    "end(status=0)", "end(status=99)", "end(status=1000)", "end(1, 200)", "end(1, 404, retry=121)", "end(date=-1)",
    "end(date=2**62)", "end(2, 0, message=b'x' * 256)", "end(2, 0, message=b'\\x1b[31m')", "end(2, 0, message=b'a\\0b')",
    "end(was_asked=2)"])
def test_nonsense_of_a_hostile_helper(hostile, packet):
    result = hostile(f"s.send({packet})\ntime.sleep(60)\n").get("http://127.0.0.1/", tries=1)
    expect(result, FAILED, "system: kcare-fetch sent nonsense: it was stopped")
    assert result.out == b"" and result.seconds < 10


def test_hostile_helper_sends_too_much(hostile, path):
    fetch = hostile("flood(lambda: data(0, 2**64 - 1, b'x' * 60000))\n")
    expect(fetch.get("http://127.0.0.1/", 100000, tries=1), FAILED, "sent a part that was not asked for")
    fetch = hostile("at = 0\ndef more():\n    global at\n    at += 60000\n    return data(at - 60000, 2**64 - 1, bytes(60000))\n"
                    "flood(more)\n")
    expect(fetch.get("http://127.0.0.1/", 100000, tries=1), INPUT, "over-limit: ")
    expect(fetch.file("http://127.0.0.1/", path, tries=1), INPUT, "over-limit: ")
    assert not path.exists()


def test_hostile_helper_keeps_no_limit(hostile):
    """A byte now and then, for ever."""
    fetch = hostile("at = 0\nwhile True:\n    s.send(data(at, 2**64 - 1, b'x'))\n    at += 1\n    time.sleep(0.2)\n")
    result = fetch.get("http://127.0.0.1/", total_ms=1000, tries=1)
    expect(result, NETWORK, "stalled: ")
    assert re.search("this takes longer than 1 s|kcare-fetch gave no answer in time", result.err), result
    assert result.seconds < 15


def test_hostile_helper_is_silent(hostile):
    result = hostile("time.sleep(60)\n").get("http://127.0.0.1/", total_ms=1000, tries=1)
    expect(result, NETWORK, "stalled: kcare-fetch gave no answer in time")
    assert result.seconds < 15


def test_hostile_helper_leaves_its_socket(hostile):
    result = hostile("os.close(0)\ntime.sleep(60)\n").get("http://127.0.0.1/", tries=1)
    expect(result, FAILED, "system: kcare-fetch stopped talking to us")


def test_helper_that_ends_at_once(hostile):
    expect(hostile("os._exit(9)").get("http://127.0.0.1/", tries=1), FAILED, "system: kcare-fetch ended with exit code 9")


def test_helper_of_another_version(fetch, programs):
    """What we say is checked over there, too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, subprocess.Popen([programs / "kcare-fetch"], stdin=theirs) as helper:
        ours.send(b"other")
        packet = ours.recv(1000)
        assert b"it is of another version than the program that started it" in packet and len(packet) == 288
        assert helper.wait(10) == FAILED


def test_no_helper(fetch, tmp_path):
    shutil.copy(fetch.program, tmp_path)
    expect(Fetch(tmp_path).get("http://127.0.0.1/", tries=1), FAILED, "system: cannot run ", "/kcare-fetch; install kcare again")


def test_helper_by_hand(programs):
    for arguments in ([], ["x"], ["--help"]):
        done = subprocess.run([programs / "kcare-fetch", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        assert done.returncode == USAGE
        assert done.stderr == ("kcare-fetch: usage: kcarectl and kcare-repo start this program when they download; "
                               "it is not for calling by hand\n")
    assert run([programs / "kcare-fetch", "--version"]).startswith("kcare-fetch (kcare) ")


def test_progress_is_shown_on_a_terminal_only(serve, fetch, path):
    server = serve(from_first_byte)
    command = fetch.command("file", server.url, SHA256, SIZE, path)
    out = run(["script", "-qec", " ".join(command), "/dev/null"], env=clean_environment(), stdin=subprocess.DEVNULL)
    assert "downloading" in out
    path.unlink()
    assert "downloading" not in fetch.file(server.url, path).err


def test_helper_that_keeps_its_privileges_does_nothing(serve, fetch):
    """Root of a user namespace that has no other user."""
    need_root("a user namespace")
    need_program("unshare", "util-linux")
    server = serve(from_first_byte)
    expect(fetch.get(server.url, prefix=["unshare", "--user", "--map-root-user"]), FAILED,
           "system: kcare-fetch cannot work: cannot give up the groups of root: Operation not permitted")
    assert not server.requests
