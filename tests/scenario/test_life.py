# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens in the life of a process and of the files that it maps, before, while and after it is patched."""

import os
import random
import shutil

import pytest

import lab
from lab import DONE, INPUT, NOTHING


def values(target):
    return target.ask("value 10"), target.ask("one 10")


@pytest.fixture
def own_copy(worker, tmp_path):
    """The worker's files in a folder of this test, which may change them."""
    folder = tmp_path / "run"
    shutil.copytree(worker.run, folder)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if os.stat(parent).st_uid == os.getuid() and parent != lab.pathlib.Path("/tmp"):
            parent.chmod(0o755)
    return folder


@pytest.mark.parametrize("how", ["deleted", "upgraded"])
def test_the_library_was_deleted_or_upgraded_on_disk(worker, own_copy, spawn, kcare, both, how):
    """What is mapped counts, not what the path names now."""
    target = spawn(worker, program=own_copy / "program")
    library = own_copy / "libone.so.1"
    original = library.read_bytes()
    library.unlink()
    if how == "upgraded":
        shutil.copy(own_copy / "libtwo.so.1", library)
    kcare.patch(target, *both, wait=5)
    assert values(target) == (32, 1011)
    assert kcare.info(target)["libone.so.1"]["patchlvl"] == 1
    kcare.unpatch(target, wait=5)
    assert values(target) == (31, 1010)
    (own_copy / "libone.so.1").unlink(missing_ok=True)
    library.write_bytes(original)


def test_dlopen_after_the_patch(worker, spawn, kcare, both, two_patch):
    """A process that is patched opens one more library, which then gets its own patch; both are undone."""
    target = spawn(worker)
    kcare.patch(target, *both, wait=5)
    assert target.ask(f"dlopen {worker.run / 'libtwo.so.1'}") == 0
    assert (*values(target), target.ask("two 10")) == (32, 1011, 2010)
    kcare.patch(target, *both, two_patch(), wait=5)
    assert (*values(target), target.ask("two 10")) == (32, 1011, 2011)
    info = kcare.info(target)
    assert {"program", "libone.so.1", "libtwo.so.1"} <= info.keys(), info
    kcare.unpatch(target, wait=5)
    assert (*values(target), target.ask("two 10")) == (31, 1010, 2010)


def test_patching_twice_is_nothing_to_do(worker, spawn, kcare, both):
    target = spawn(worker)
    kcare.patch(target, *both, wait=5)
    kcare.patch(target, *both, code=NOTHING)
    assert values(target) == (32, 1011)
    kcare.unpatch(target, wait=5)
    kcare.unpatch(target, code=NOTHING)


def test_a_patch_for_something_that_is_not_mapped_is_nothing_to_do(worker, spawn, kcare, two_patch):
    target = spawn(worker)
    kcare.patch(target, two_patch(), code=NOTHING)


def test_fork_after_the_patch(worker, spawn, kcare, both):
    """The child is patched, is listed, and can be unpatched by itself."""
    target = spawn(worker)
    kcare.patch(target, *both, wait=5)
    child = target.ask("fork")
    assert (target.ask("child value 10"), target.ask("child one 10")) == (32, 1011)
    assert kcare.info(child)["libone.so.1"]["patchlvl"] == 1
    kcare.unpatch(child, wait=5)
    assert (target.ask("child value 10"), target.ask("child one 10")) == (31, 1010)
    assert values(target) == (32, 1011), "the parent stays patched"
    kcare.patch(child, *both, wait=5)
    assert target.ask("child value 10") == 32


def test_exec_ends_the_patch_and_the_new_image_can_be_patched(worker, spawn, kcare, both):
    target = spawn(worker)
    kcare.patch(target, *both, wait=5)
    target.send("exec")
    assert target.line(10) == "ready"
    assert values(target) == (31, 1010)
    assert kcare.info(target).get("program", {}).get("patchlvl", 0) == 0
    kcare.patch(target, *both, wait=5)
    assert values(target) == (32, 1011)


def test_the_process_exits_while_it_is_being_patched(worker, spawn, kcare, both, long):
    """Whenever it exits: the patcher ends by itself, with an answer, and holds nobody back."""
    random.seed(20261123)
    longest = kcare.patch(spawn(worker), *both, wait=5).seconds * 1.2
    codes = set()
    for _ in range(100 if long else 25):
        target = spawn(worker)
        target.may_end = True
        target.ask("sleepers 20")
        target.send(f"exit-in {int(random.random() * longest * 1e6)}")
        result = kcare.ctl("patch", "-p", target.pid, lab.folder_of(both, kcare.root), "--wait", 2, timeout=20)
        assert result.code in (DONE, NOTHING, INPUT), result
        codes.add(result.code)
        target.process.wait(10)
    assert len(codes) > 1, f"always the same answer, {codes}: the exits did not fall into the patching"


def test_level_1_then_2_then_unpatch(worker, spawn, kcare, value_patch, one_patch):
    """A higher level replaces the lower one in one transaction; unpatching goes back to the original."""
    target = spawn(worker)
    target.ask("stutterers 2")
    kcare.patch(target, value_patch(1), one_patch(1), wait=5)
    assert values(target) == (32, 1011)
    kcare.patch(target, value_patch(2), one_patch(2), wait=5)
    assert values(target) == (33, 1012)
    assert kcare.info(target)["program"]["patchlvl"] == 2
    assert kcare.info(target)["program"]["cve"] == ["CVE-2026-10002"]
    kcare.unpatch(target, wait=5)
    assert values(target) == (31, 1010)
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")
    assert target.ask("wrong") == 0


def test_a_lower_level_does_not_replace_a_higher_one(worker, spawn, kcare, value_patch):
    target = spawn(worker)
    kcare.patch(target, value_patch(2), wait=5)
    result = kcare.ctl("patch", "-p", target.pid, value_patch(1))
    assert result.code in (NOTHING, lab.REFUSED), result
    assert target.ask("value 10") == 33


def test_unpatching_one_patchset_leaves_the_other(worker, spawn, kcare, value_patch, one_patch):
    target = spawn(worker)
    kcare.patch(target, value_patch(1), one_patch(2), wait=5)
    assert values(target) == (32, 1012)
    kcare.unpatch(target, "U20261123_02", wait=5)
    assert values(target) == (32, 1010)
    kcare.unpatch(target, "U20261123_77", code=NOTHING)
    kcare.unpatch(target, "U20261123_01", wait=5)
    assert values(target) == (31, 1010)


def test_level_2_may_touch_other_functions_than_level_1(build_target, make_patch, spawn, kcare):
    """What level 1 changed and level 2 does not is the original again."""
    build = build_target("content")
    first = make_patch(build, lab.Fix((("content.c", "x * 3 + 1;", "x * 3 + 2;"),
                                       ("content.c", "below + 1;", "below + 2;"))), level=1)
    second = make_patch(build, lab.edit("content.c", "below + 1;", "below + 3;"), level=2, patchset="U20261123_02")
    target = spawn(build)
    kcare.patch(target, first, wait=5)
    assert (target.ask("value 2"), target.ask("recursion 100")) == (8, 200)
    kcare.patch(target, second, wait=5)
    assert (target.ask("value 2"), target.ask("recursion 100")) == (7, 300)
    kcare.unpatch(target, wait=5)
    lab.assert_original(target, build.program)


def test_the_code_in_memory_is_not_the_expected_one(worker, spawn, kcare, both):
    """Somebody else changed a function: refused by name, and left as it is; so is the other object."""
    target = spawn(worker)
    start, size = worker.symbols("program")["program_value"]
    base = next(m[0] - m[2] for m in lab.executable_maps(target.pid) if m[3] == str(worker.program))
    with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(base + start + size - 1)
        assert memory.read(1) == b"\xc3"
        memory.seek(base + start + size - 1)
        memory.write(b"\xcc")
    result = kcare.patch(target, *both, code=lab.REFUSED)
    assert "bytes-differ" in result.err, result
    assert target.ask("one 10") == 1010
    lab.assert_original(target, worker.run / "libone.so.1")


def test_many_rounds_leave_no_mapping_behind(worker, spawn, kcare, both, long):
    """What unpatching frees does not pile up."""
    target = spawn(worker)
    kcare.patch(target, *both, wait=5)
    kcare.unpatch(target, wait=5)
    before = len(lab.executable_maps(target.pid))
    for _ in range(50 if long else 8):
        kcare.patch(target, *both, wait=5)
        kcare.unpatch(target, wait=5)
    assert len(lab.executable_maps(target.pid)) <= before
