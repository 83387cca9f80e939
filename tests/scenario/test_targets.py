# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets by themselves: they do what the other scenarios rely on, before anything is patched."""

import pytest

import lab


@pytest.mark.parametrize("variant", ["pie", "non-pie", "static-pie", "static", "cet", "o3", "now"])
def test_content_answers_in_every_variant(build_target, spawn, variant):
    target = spawn(build_target("content", variant))
    assert [target.ask(f"{what} 2") for what in ("value", "own_ifunc", "recursion", "edge", "through_pointer")] == [
        7, 5, 2, 3, 22]
    assert target.ask("tls 3") == 10071 and target.ask("tls_thread 3") == 10071 and target.ask("tls_peek") == 10071
    lab.assert_original(target, target.command[0])


@pytest.mark.parametrize("variant", ["pie", "local-dynamic", "initial-exec"])
def test_content_answers_from_a_library(build_target, spawn, variant):
    build = build_target("content-library", variant)
    target = spawn(build)
    assert target.ask("value 2") == 7 and target.ask("tls 3") == 10071
    lab.assert_original(target, build.run / "libcontent.so.1")


@pytest.mark.parametrize("kind", ["plain", "last", "cold", "signal", "recursion", "library"])
def test_a_thread_stays_inside_until_it_may_leave(worker, spawn, kind):
    target = spawn(worker)
    without = target.ask(f"hold {kind}")
    target.ask(f"enter {kind}")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread blocks")
    target.ask("leave")
    assert target.ask("join") == (201 if kind == "cold" else without)


@pytest.mark.parametrize("name,function", [("hold_last", "hold_depart"), ("hold_cold.cold", "hold_rare")])
def test_the_compiler_made_the_code_that_the_scenarios_are_about(worker, name, function):
    """hold_last ends in a call, and hold_cold has a part in .text.unlikely that calls."""
    start, size = worker.symbols("program")[name]
    limits = (f"--start-address={start}", f"--stop-address={start + size}")
    code = lab.call(["objdump", "-d", "--no-show-raw-insn", *limits, str(worker.full / "program")], worker.folder)
    lines = [line for line in code.splitlines() if "\t" in line and "nop" not in line]
    assert any("call" in line and f"<{function}>" in line for line in lines)
    if name == "hold_last":
        assert f"<{function}>" in lines[-1]


def test_what_the_lab_calls_torn_is_torn(worker, spawn):
    """The checks of memory see a half-written jump, a jump into nothing, and nothing else."""
    target = spawn(worker)
    lab.assert_whole(target, worker)
    start, _ = worker.symbols("program")["program_value"]
    base = next(m[0] - m[2] for m in lab.executable_maps(target.pid) if m[3] == str(worker.program))
    vdso = next(m[0] for m in lab.executable_maps(target.pid) if m[3] == "[vdso]")
    jump = b"\xe9" + ((vdso - base - start - 5) & 0xFFFFFFFF).to_bytes(4, "little")
    with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(base + start)
        memory.write(b"\xe9\x01")
        with pytest.raises(AssertionError, match="code differs"):
            lab.assert_original(target, worker.program)
        memory.seek(base + start)
        memory.write(jump)
        with pytest.raises(AssertionError, match="torn"):
            lab.assert_whole(target, worker)
