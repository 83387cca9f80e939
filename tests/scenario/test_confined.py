# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that shut themselves in, or that somebody else holds."""

import os
import shutil
import subprocess
import time

import pytest

import lab
from conftest import need_program, need_root
from lab import BUSY, DONE, REFUSED


def patch_and_undo(kcare, worker, target, both):
    kcare.patch(target, *both, wait=5)
    assert (target.ask("value 10"), target.ask("one 10")) == (32, 1011)
    assert kcare.info(target)["libone.so.1"]["patchlvl"] == 1
    kcare.unpatch(target, wait=5)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1010)


def test_seccomp_that_kills_on_mmap(worker, spawn, kcare, both):
    target = spawn(worker)
    assert target.ask("seccomp") == 0
    patch_and_undo(kcare, worker, target, both)
    target.may_end = True
    with pytest.raises(lab.TargetDied, match="SIGSYS"):
        target.ask("mmap")  # the filter was there all the time, and still is


def test_memory_deny_write_execute(worker, spawn, kcare, both):
    target = spawn(worker)
    code = target.ask("mdwe")
    if code:
        pytest.skip(f"the kernel has no PR_SET_MDWE (Linux 6.3): {os.strerror(code)}")
    patch_and_undo(kcare, worker, target, both)


def test_a_process_that_is_not_dumpable(worker, spawn, kcare, both):
    need_root("patching a process that is not dumpable")
    target = spawn(worker)
    assert target.ask("not-dumpable") == 0 and target.ask("dumpable") == 0
    patch_and_undo(kcare, worker, target, both)
    assert target.ask("dumpable") == 0


def test_a_process_of_another_user(worker, spawn, kcare, both):
    need_root("a process of another user")
    target = spawn(worker)
    assert target.ask("setuid 65534") == 0
    patch_and_undo(kcare, worker, target, both)


def test_a_process_in_a_container(worker, spawn, kcare, both, workshop):
    """Other mount and pid namespaces, and a root of its own in which the host's paths do not exist."""
    need_root("a mount and a pid namespace")
    need_program("unshare", "util-linux")
    root = workshop / "container"
    shutil.rmtree(root, ignore_errors=True)
    for path in [*worker.run.iterdir(), *libraries_of(worker.program)]:
        place = root / ("app" if worker.run == path.parent else str(path.parent).lstrip("/"))
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (root / "proc").mkdir()
    target = spawn(worker, program="/app/program",
                   wrapper=["unshare", "--mount", "--pid", "--fork", f"--root={root}", "--mount-proc=/proc"])
    assert os.readlink(f"/proc/{target.pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    assert os.readlink(f"/proc/{target.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    patch_and_undo(kcare, worker, target, both)


def libraries_of(program):
    """What the dynamic loader needs from the system."""
    for line in lab.call(["ldd", str(program)], program.parent).splitlines():
        words = [word for word in line.split() if word.startswith("/")]
        if words and not words[-1].startswith(str(program.parent)):
            yield lab.pathlib.Path(words[-1])


def is_traced(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("TracerPid:")) != 0


@pytest.mark.parametrize("tracer", ["strace", "gdb"])
def test_a_traced_process_is_refused_and_unharmed(worker, spawn, kcare, both, tmp_path, tracer):
    need_program(tracer, tracer)
    target = spawn(worker)
    log = tmp_path / "log"
    commands = {
        "strace": ["strace", "-f", "-o", str(log), "-p", str(target.pid)],
        "gdb": ["gdb", "-nx", "-q", "-p", str(target.pid), "-ex", "set confirm off", "-ex", "continue"],
    }
    holder = subprocess.Popen(commands[tracer], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        lab.wait_until(lambda: is_traced(target.pid), 20, f"{tracer} is attached")
        assert target.ask("value 10") == 31
        result = kcare.patch(target, *both, code=REFUSED)
        assert "traced" in result.err, result
        assert is_traced(target.pid), f"{tracer} was thrown off"
        assert (target.ask("value 10"), target.ask("one 10")) == (31, 1010)
        lab.assert_original(target, worker.program, worker.run / "libone.so.1")
    finally:
        holder.terminate()
        if tracer == "gdb":
            time.sleep(0.2)
            holder.kill()
        holder.wait(10)
    lab.wait_until(lambda: not is_traced(target.pid), what="the tracer is gone")
    target.may_end = tracer == "gdb"  # gdb may end what it holds, when it is killed
    if tracer == "strace":
        patch_and_undo(kcare, worker, target, both)


def test_a_stopped_process_stays_stopped(worker, spawn, kcare, both):
    """SIGSTOP: it is patched where it stands or left alone, within bounded time; it goes on only when it is told to."""
    target = spawn(worker)
    os.kill(target.pid, lab.signal.SIGSTOP)
    lab.wait_until(lambda: target.state() == "T", what="the process is stopped")
    result = kcare.ctl("patch", "-p", target.pid, lab.folder_of(both, kcare.root), "--wait", 2)
    assert result.code in (DONE, BUSY) and result.seconds < 8, result
    lab.wait_until(lambda: target.state() == "T", 2, "the process is stopped as before")
    os.kill(target.pid, lab.signal.SIGCONT)
    expected = (32, 1011) if result.code == DONE else (31, 1010)
    assert (target.ask("value 10"), target.ask("one 10")) == expected
