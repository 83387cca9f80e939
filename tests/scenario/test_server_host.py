# SPDX-License-Identifier: GPL-2.0-or-later
"""libcare-ctl server as a service of a host: signals, one of its kind, what is busy, forks, the list of CVEs."""

import hashlib
import os
import signal
import socket

import pytest

import hosts
import lab
from conftest import need_root
from hosts import box, host  # noqa: F401 (fixtures)

VALUE = lab.edit("value.c", "return x * 3 + 1;", "return x * 3 + 2;")
SPIN = lab.edit("hold.c", "memory_order_relaxed))\n\t\t;\n\treturn x + 1;", "memory_order_relaxed))\n\t\t;\n\treturn x + 2;")
HOLD = lab.edit("hold.c", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 1;", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 2;")


class Server:
    """A server of one host and folder, with its log."""

    def __init__(self, host, folder, prefix=(), environment=None):
        self.path = host.root / "log"
        self.log = open(self.path, "a", encoding="utf-8")
        command = [*prefix, str(host.bin["libcare-ctl"]), "server", str(folder)]
        self.process = lab.subprocess.Popen(
            command, env=dict(host.environment, **(environment or {})), stdin=lab.subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
        )
        lab.wait_until(lambda: "ready" in self.text() or self.process.poll() is not None, 30, "the server is ready")
        assert self.process.poll() is None, self.text()
        self.pid = lab.innermost(self.process.pid) if prefix else self.process.pid

    def text(self):
        return self.path.read_text(encoding="utf-8")

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(20)
        self.log.close()
        assert code == 0 and "Sanitizer" not in self.text(), f"exit {code}: {self.text()}"


@pytest.fixture
def serve(host):
    need_root("perf events of all processes")
    started = []

    def start(folder, **options):
        started.append(Server(host, folder, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "patches"
    path.mkdir()
    return path


def put(folder, file):
    lab.shutil.copy(file, folder / file.parent.parent.name).rename(folder / f"{file.parent.parent.name}.kpatch")


def soon(target, command, answer):
    lab.wait_until(lambda: target.ask(command) == answer, 20, f"{command} answers {answer}")


def test_names_and_lock(host, worker, serve, folder):
    server = serve(folder)
    assert hosts.comm(server.pid) == "libcare-server"
    with open(f"/proc/{server.pid}/cmdline", "rb") as cmdline:
        assert cmdline.read().rstrip(b"\0").split(b"\0") == [b"libcare-server", str(folder).encode()]
    second = host.ctl("server", folder)
    assert second.code == lab.BUSY and "another server runs" in second.err, second


def test_sighup_reads_the_folder_again(worker, spawn, make_patch, serve, folder):
    target = spawn(worker)
    server = serve(folder)
    assert target.ask("value 10") == 31
    put(folder, make_patch(worker, VALUE))
    os.kill(server.pid, signal.SIGHUP)
    soon(target, "value 10", 32)
    # What it cannot read does not replace what it has.
    (folder / "bad.kpatch").write_bytes(b"rubbish")
    os.kill(server.pid, signal.SIGHUP)
    lab.wait_until(lambda: "going on with the patches from before" in server.text(), what="the bad file is named")
    soon(spawn(worker), "value 10", 32)


def test_busy_is_tried_again(worker, spawn, make_patch, serve, folder):
    put(folder, make_patch(worker, HOLD))
    target = spawn(worker)
    before = target.ask("hold plain")
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread blocks")
    server = serve(folder)
    lab.wait_until(lambda: f"pid {target.pid}: " in server.text(), what="the server says that it is busy")
    lab.assert_original(target, worker.program)
    assert target.ask("leave") >= 0
    assert target.ask("join") == before
    soon(target, "hold plain", before + 1)


def test_child_of_a_busy_process_is_patched(worker, spawn, make_patch, serve, folder):
    """It maps nothing anew: only its parent tells that it needs the patch."""
    put(folder, make_patch(worker, (VALUE, SPIN)))
    target = spawn(worker)
    target.ask("enter spin")
    server = serve(folder)
    lab.wait_until(lambda: f"pid {target.pid}: " in server.text(), what="the server says that it is busy")
    target.ask("fork")
    soon(target, "child value 10", 32)
    assert target.ask("value 10") == 31, "the parent is busy still"
    target.ask("go")
    target.ask("join")
    soon(target, "value 10", 32)


class LongIds(lab.Build):
    """Build-ids of 32 bytes, which the kernel's events do not carry: they name device and inode instead."""

    def link(self, name, objects, flags):
        full, build_id = self.full / name, hashlib.sha256(f"{self.folder}{name}".encode()).hexdigest()
        lab.call(["gcc", *objects, *flags, f"-Wl,--build-id=0x{build_id}", "-o", str(full)], self.folder)
        lab.call(["strip", "--strip-all", "-o", str(self.run / name), str(full)], self.folder)


def test_files_whose_build_id_the_kernel_does_not_tell(workshop, spawn, make_patch, serve, folder):
    build = LongIds("worker", "pie", workshop / "targets" / "worker-long-ids")
    put(folder, make_patch(build, VALUE))
    put(folder, make_patch(build, lab.edit("two.c", "return x + two_base;", "return x + two_base + 1;"), "libtwo.so.1"))
    serve(folder)
    for _ in range(2):  # asked once, then remembered
        target = spawn(build)
        soon(target, "value 10", 32)
        assert target.ask(f"dlopen {build.run / 'libtwo.so.1'}") == 0
        soon(target, "two 10", 2011)


def test_blacklisted_programs_stay_as_they_are(host, worker, spawn, make_patch, serve, folder):
    put(folder, make_patch(worker, VALUE))
    path = host.root / "var/lib/libcare/blacklist"
    path.parent.mkdir(parents=True)
    path.write_text("filename:program\n", encoding="ascii")
    server = serve(folder)
    target = spawn(worker)
    lab.wait_until(lambda: f"pid {target.pid}: " in server.text(), what="the rule is named")
    assert target.ask("value 10") == 31
    path.write_text("", encoding="ascii")
    os.kill(server.pid, signal.SIGHUP)
    soon(target, "value 10", 32)


def test_it_has_itself_patched(host, worker, make_patch, serve, folder):
    """It maps outdated libraries as others do; here one that it is given to carry."""
    put(folder, make_patch(worker, lab.edit("one.c", "return x + one_base;", "return x + one_base + 1;"), "libone.so.1"))
    server = serve(folder, environment={
        "LD_PRELOAD": str(worker.run / "libone.so.1"), "ASAN_OPTIONS": "verify_asan_link_order=0"})
    entry = host.info(server.pid)
    assert entry["comm"] == "libcare-server" and entry["libone.so.1"]["patchlvl"] == 1, f"{entry}: {server.text()}"


def test_it_tells_the_service_manager(worker, make_patch, serve, folder, tmp_path):
    put(folder, make_patch(worker, VALUE))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        server = serve(folder, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(100) == b"READY=1"
        os.kill(server.pid, signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        assert server.process.wait(20) == 0


def test_it_keeps_the_list_of_fixed_cves(host, worker, box, spawn, make_patch, serve, folder):
    put(folder, make_patch(worker, VALUE))
    first = spawn(worker, wrapper=box.enter)
    server = serve(folder, prefix=box.enter)
    soon(first, "value 10", 32)
    lab.wait_until(lambda: hosts.cvelist(host) == ["CVE-2026-10001"], 20, "the CVE is listed")
    second = spawn(worker, wrapper=box.enter)
    soon(second, "value 10", 32)
    result = host.ctl("unpatch", "-p", box.pid_of(second), prefix=box.enter)
    assert result.code == lab.DONE, result
    assert hosts.cvelist(host) == []
    server.stop()
