# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl's command line, and what it answers when something of this host is in the way: exit codes and texts, each once.

What a healthy server and a healthy host answer is in test_kcarectl_network.py.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest

from conftest import need_root
from downloads import answer, clean_environment, serve  # noqa: F401  (a fixture)
from lab import DONE, INPUT, NETWORK, NOTHING, REFUSED, USAGE, free_port
from publishing import Host, Publisher, kernel_patch
from test_kcarectl_network import NEW, UNSUPPORTED, ago, day, downloaded, expect, offered, state_of
from web import Web

COULD_NOT_TELL = 2  # --check


@pytest.fixture(scope="session")
def published(build_folder, workshop):
    """Levels 1 and 2 in main, of 20 and 5 days ago, of some 100 KB each."""
    publisher = Publisher(build_folder, workshop / "options")
    for level, days in ((1, 20), (2, 5)):
        publisher.deploy(publisher.patchset(f"K2026110{level}_01", [kernel_patch(level)], released=ago(days), size=100000))
    return publisher


@pytest.fixture(scope="session")
def web(published, workshop):
    with Web(published.public, workshop / "options-web") as server:
        yield server


@pytest.fixture
def host(build_folder, published, web, tmp_path):
    web.requests()
    return Host(build_folder, tmp_path / "host", published, web.url)


# ---- the command line ----


@pytest.mark.parametrize("arguments,text", [
    ((), "say what to do, for example --info; see 'kcarectl --help'"),
    (("status",), "'status' is not an option; see 'kcarectl --help'"),
    (("--no-such-option",), "--no-such-option"),
    (("--import-key",), "--import-key"),
    (("--import-key", ""), "--import-key takes a path"),
    (("--import-patch", ""), "--import-patch takes a path"),
    (("--info", "--unload"), "--info and --unload do not go together: one at a time"),
    (("--check", "--status"), "--check and --status do not go together: one at a time"),
    (("--update", "--auto-update"), "--update and --auto-update do not go together: one at a time"),
    (("--update", "--smart-update"), "--update and --smart-update do not go together: one at a time"),
    (("--confirm", "--confirm-later"), "--confirm and --confirm-later do not go together: one at a time"),
    (("--enable-libcare", "--disable-libcare"), "--enable-libcare and --disable-libcare do not go together: one at a time"),
    (("--status", "--json"), "--json goes with --info, not with --status"),
    (("--info", "--force"), "--force goes with --update or --import-key, not with --info"),
    (("--check", "--freezer", "full"), "--freezer goes with --update or --unload, not with --check"),
    (("--update", "--freezer", "some"), "--freezer takes none, full or smart, not 'some'"),
    (("--unload", "--prefix", "test"), "--prefix and --test go with --update or --check, not with --unload"),
    (("--update", "--auto"), "--auto goes with --userspace-update, not with --update"),
    (("--set-patch-type",), "--set-patch-type"),
    (("--set-patch-type", ""), "--set-patch-type: '' is not default, extra or free"),
    (("--set-patch-type", "extra", "--check"),
     "--set-patch-type and --set-sticky-patch go with --update or alone, not with --check"),
    (("--set-sticky-patch", "250526", "--unload"), "go with --update or alone, not with --unload"),
    (("--set-sticky-patch", "310226"), "--set-sticky-patch: there is no day '310226'"),
])
def test_wrong_arguments(host, web, arguments, text):
    result = host.kcarectl(*arguments)
    expect(result, USAGE, text)
    assert result.err.startswith("kcarectl: usage: ") and result.err.count("\n") == 1 and not result.out, result
    assert not web.requests()


@pytest.mark.parametrize("arguments", [("-u",), ("--update", "--freezer", "FULL"), ("--update", "--force"), ("-qu",),
                                       ("--update", "--test", "--prefix", "test")])
def test_right_arguments(host, arguments):
    expect(host.kcarectl(*arguments), NETWORK if "--test" in arguments else REFUSED)


def test_help_names_every_option(host):
    text = host.kcarectl("--help").out
    for option in ("info", "patch-info", "uname", "status", "check", "update", "auto-update", "smart-update", "unload", "prefix",
                   "test", "force", "freezer", "set-patch-type", "set-sticky-patch", "userspace-update", "lib-update", "lib-info",
                   "lib-patch-info", "lib-unload", "disable-libcare", "enable-libcare", "import-key", "import-patch", "confirm",
                   "confirm-later", "version", "json", "auto", "verbose", "quiet"):
        assert f"--{option}" in text, option
    result = host.kcarectl("--version")
    assert result.code == DONE and result.out.strip().replace(".", "").isdigit(), result


# ---- "could not tell" looks like no answer ----


def test_without_its_other_half(host, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(host.build / "src/cmd/kcarectl", folder)
    (folder / "kcare-agent").write_text("")
    (folder / "kcare-agent").chmod(0o755)

    def call(option):
        return subprocess.run([folder / "kcarectl", option], env=clean_environment({"KCARE_ROOT": str(host.root)}),
                              capture_output=True, text=True, check=False)

    for option, code in (("--check", COULD_NOT_TELL), ("--status", INPUT), ("--update", 1)):
        result = call(option)
        assert result.returncode == code, f"{option}: {result}"
        assert f"kcarectl: system: cannot run {folder}/kcare-agent; install kcare again: " in result.stderr, result
    expect(host.kcarectl("--check"), NEW)
    assert call("--status").returncode == 1, "a kernel that is known needs no other half"


def test_a_configuration_that_cannot_be_read(host):
    path = host.etc / "kcare.conf"
    path.unlink()
    path.symlink_to("kcare.conf")
    expect(host.kcarectl("--check"), COULD_NOT_TELL, "cannot open", "kcare.conf: Too many levels of symbolic links")
    expect(host.kcarectl("--status"), INPUT, "cannot open", "kcare.conf: Too many levels of symbolic links")
    expect(host.kcarectl("--info"), 1, "cannot open")
    path.unlink()
    path.mkdir()
    expect(host.kcarectl("--status"), INPUT, "kcare.conf: not a file")
    path.rmdir()
    path.write_bytes(b"PREFIX=te\0st\n")
    expect(host.kcarectl("--status"), INPUT, "kcare.conf:1: this is not text")


def test_a_lock_that_others_may_open(host):
    """Reading is enough to hold it for ever."""
    need_root("files of another user")
    assert offered(host) == 2
    (host.root / "run/kcare.lock").chmod(0o644)
    expect(host.kcarectl("--update"), REFUSED, "the lock /run/kcare.lock belongs to somebody else, or others may open it")
    (host.root / "run/kcare.lock").chmod(0o600)
    assert offered(host) == 2


# ---- choice ----


def test_keys_for_automatic_runs(host):
    host.configure(AUTO_STICKY_PATCH=day(10))
    expect(host.kcarectl("--set-sticky-patch", day(2)), DONE, "Sticky from now on: 20",
           "The next update applies it; 'kcarectl --update' does so now\n",
           "AUTO_STICKY_PATCH is set in kcare.conf: automatic updates go by that")
    assert offered(host) == 2
    for option in ("--auto-update", "--smart-update"):
        expect(host.kcarectl(option), REFUSED)
        assert downloaded(host) == {"default": {1}}, option
    host.configure(AUTO_STICKY_PATCH=day(0))
    expect(host.kcarectl("--auto-update"), REFUSED, "is today: it must be over")
    expect(host.kcarectl("--check"), NEW)
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates\n")
    assert downloaded(host) == {"default": {1, 2}}


def test_none_that_this_host_may_have(host):
    host.configure(UPDATE_DELAY="60d")
    expect(host.kcarectl("--status"), UNSUPPORTED, "The patch server has not been asked about this kernel yet")
    result = host.kcarectl("--check")
    assert (result.code, result.out) == (1, "No new patches\n"), result
    why = "The feed has patches for this kernel, but none that this host may have now (type, delay, sticky date, patchset, blocks)."
    expect(host.kcarectl("--status"), 1, f"No patches applied. {why} Checked ")
    expect(host.kcarectl("--info"), DONE, f"No patches applied\nkpatch-note: {why}\nkpatch-note: Checked ")
    assert json.loads(host.kcarectl("--info", "--json").out)["status"] == "no-patches"
    expect(host.kcarectl("--update"), NOTHING, "the feed main has patches for this kernel, but none that this host may have now")
    host.configure(UPDATE_DELAY="10d")
    expect(host.kcarectl("--status"), UNSUPPORTED, "The configuration has changed since the last check")


# ---- disks, servers, proxies ----


@contextlib.contextmanager
def full(folder):
    """A full disk in this place."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k,mode=755", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("folder", ["kernel", "repo"])
def test_a_disk_that_is_full(host, folder):
    need_root("mounting a small disk")
    with full(host.cache / folder):
        while True:
            try:
                with open(host.cache / folder / "filler", "ab") as filler:
                    filler.write(b"x" * 4096)
            except OSError:
                break
        expect(host.kcarectl("--check"), COULD_NOT_TELL, "kcarectl: no-space: ", "No space left on device")
        expect(host.kcarectl("--update"), 1, "kcarectl: no-space: ", "No space left on device")
    assert offered(host) == 2
    before = state_of(host)
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates")
    assert state_of(host)["checked"]["chosen"] == before["checked"]["chosen"]


class Cut:
    """The repository, by a server that dies in the middle of a patch file as often as it should."""

    def __init__(self, public, times):
        self.public, self.times = public, times

    def __call__(self, request):
        path = self.public / request.path.lstrip("/")
        if not path.is_file():
            return answer(b"", "404 Not Found")
        content = path.read_bytes()
        if "/blobs/" not in request.path:
            return answer(content)
        begin = request.first_byte
        headers = [f"Content-Range: bytes {begin}-{len(content) - 1}/{len(content)}"] if begin else []
        status = "206 Partial Content" if begin else "200 OK"
        if not self.times:
            return answer(content[begin:], status, headers)
        self.times -= 1
        rest = len(content) - begin
        request.connection.sendall(answer(content[begin:begin + rest // 2], status, headers, length=rest))
        return None


def test_a_server_that_dies_in_the_middle(host, published, serve):
    server = serve(Cut(published.public, 1))
    host.configure(PATCH_SERVER=server.url)
    expect(host.kcarectl("--smart-update"), INPUT, "truncated: ", "/blobs/")
    assert not downloaded(host)
    part, = (host.cache / "partial").iterdir()
    size = part.stat().st_size
    assert size > 10000
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates\n")
    assert downloaded(host) == {"default": {2}} and not list((host.cache / "partial").iterdir())
    asked = [request for request in server.requests if "/blobs/" in request.path]
    assert [request.first_byte for request in asked] == [0, size], "it did not go on where it was cut"


def test_a_server_that_dies_again_and_again_in_one_run(host, published, serve):
    server = serve(Cut(published.public, 3))
    host.configure(PATCH_SERVER=server.url)
    result = host.kcarectl("--update", "-v")
    expect(result, REFUSED, "Downloading updates\n")
    assert result.err.count("; trying again in ") == 3 and downloaded(host) == {"default": {2}}, result


def test_old_parts_of_downloads_go(host):
    folder = host.cache / "partial"
    folder.mkdir(parents=True)
    for name, days in (("old", 8), ("new", 6)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - days * 86400,) * 2)
    expect(host.kcarectl("--update"), REFUSED, "Downloading updates")
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_progress_is_shown_on_a_terminal_only(host):
    program = host.build / "src/cmd/kcarectl"
    on_terminal = subprocess.run(["script", "-qec", f"{program} --update", "/dev/null"], stdin=subprocess.DEVNULL,
                                 env=clean_environment({"KCARE_ROOT": str(host.root)}), capture_output=True, text=True, check=False)
    assert "% downloading K20261102_01" in on_terminal.stdout, on_terminal
    shutil.rmtree(host.cache / "kernel")
    plain = host.kcarectl("--update")
    assert "Downloading updates" in plain.out and "%" not in plain.out + plain.err and "\r" not in plain.err, plain


def test_proxies_for_https(host, serve):
    """Who is asked, and for what, is all: the tunnel is refused."""
    asked = []

    def refuse(request):
        asked.append(request.line)
        return answer(b"", "503 Service Unavailable")

    proxy = serve(refuse)
    dead = f"http://127.0.0.1:{free_port()}"
    host.configure(PATCH_SERVER="https://127.0.0.1:4433")
    for name in ("https_proxy", "HTTPS_PROXY"):
        host.configure(**{name: proxy.url, "http_proxy": dead})
        expect(host.kcarectl("--smart-update", env={"https_proxy": dead}), NETWORK, "network: https://127.0.0.1:4433/", "503")
        assert asked.pop() == "CONNECT 127.0.0.1:4433 HTTP/1.1"
        host.configure(**{name: None, "http_proxy": None})
        expect(host.kcarectl("--smart-update", env={name: proxy.url, "http_proxy": dead}), NETWORK, "503")
        assert asked.pop() == "CONNECT 127.0.0.1:4433 HTTP/1.1"
    host.configure(HTTP_PROXY=proxy.url)
    expect(host.kcarectl("--smart-update"), NETWORK, "network: ")
    assert not asked, "HTTP_PROXY is for http"
