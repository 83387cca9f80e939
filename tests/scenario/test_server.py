# SPDX-License-Identifier: GPL-2.0-or-later
"""libcare-ctl server: patches processes as they map an outdated library, and those that exist when it starts."""

import pytest

import lab
from conftest import need_root


@pytest.fixture
def server(kcare, both, tmp_path):
    """Starts the server; at the end it must have left on SIGTERM by itself."""
    need_root("perf events of all processes")
    started = []

    def start():
        log = open(tmp_path / "log", "w", encoding="utf-8")
        process = kcare.start_server(lab.folder_of(both, kcare.root), log)
        started.append((process, log))
        lab.wait_until(lambda: name(process.pid) == "libcare-server" or process.poll() is not None, 20, "name")
        assert process.poll() is None, (tmp_path / "log").read_text()
        return process

    yield start
    for process, log in started:
        if process.poll() is None:
            process.terminate()
        code = process.wait(20)
        log.close()
        text = (tmp_path / "log").read_text()
        assert code == 0 and "Sanitizer" not in text, f"exit {code}: {text}"


def name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
            return comm.read().strip()
    except FileNotFoundError:
        return ""


def values(target):
    return target.ask("value 10"), target.ask("one 10")


def assert_soon_patched(target):
    lab.wait_until(lambda: values(target) == (32, 1011), 20, "the server patches the process")


def test_processes_that_exist_and_processes_that_come(worker, spawn, server):
    before = [spawn(worker) for _ in range(2)]
    process = server()
    for target in before:
        assert_soon_patched(target)
    for _ in range(5):
        assert_soon_patched(spawn(worker))
    process.terminate()
    process.wait(20)
    assert values(before[0]) == (32, 1011), "on SIGTERM it leaves processes as they are"
    late = spawn(worker)
    assert values(late) == (31, 1010)


def test_many_processes_that_start_at_once(worker, spawn, server):
    server()
    targets = [spawn(worker) for _ in range(20)]
    for target in targets:
        assert_soon_patched(target)
        assert target.ask("wrong") == 0


def test_a_library_that_is_opened_later(worker, spawn, kcare, both, two_patch, tmp_path):
    """dlopen() after the start of the process counts as well as the loader's own work."""
    need_root("perf events of all processes")
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        process = kcare.start_server(lab.folder_of([*both, two_patch()], kcare.root), log)
        try:
            lab.wait_until(lambda: name(process.pid) == "libcare-server", 20, "it has its name")
            target = spawn(worker)
            assert_soon_patched(target)
            assert target.ask(f"dlopen {worker.run / 'libtwo.so.1'}") == 0
            lab.wait_until(lambda: target.ask("two 10") == 2011, 20, "the library is patched")
        finally:
            process.terminate()
            process.wait(20)


def test_a_process_that_executes_another_image(worker, spawn, server):
    server()
    target = spawn(worker)
    assert_soon_patched(target)
    target.send("exec")
    assert target.line(20) == "ready"
    assert_soon_patched(target)
