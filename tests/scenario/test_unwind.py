# SPDX-License-Identifier: GPL-2.0-or-later
"""C++: exceptions and backtraces through patched functions."""

import pytest

from lab import Fix
import lab

FIX = Fix((
    ("cxx.cc", "return callback(x) + 1;", "return callback(x) + 2;"),
    ("cxx.cc", "size());\n", "size()) + 1000;\n"),
    ("cxx.cc", 'throw std::runtime_error("too large");', 'throw std::runtime_error("much too large");'),
    ("cxx.cc", "return x * x;", "return x * x * x;"),
))
PLACES = [("cxx", "pie", "program"), ("cxx", "non-pie", "program"), ("cxx-library", "pie", "libcxx.so.1"),
          ("cxx-library", "cet", "libcxx.so.1")]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def patched(request, build_target, make_patch, spawn, kcare):
    name, variant, elf = request.param
    build = build_target(name, variant)
    target = spawn(build)
    frames = target.ask("backtrace")
    assert (target.ask("through 7"), target.ask("pass 3")) == (7, 4)
    kcare.patch(target, make_patch(build, FIX, elf), wait=5)
    assert target.ask("pass 3") == 5
    return target, frames, lambda: (kcare.unpatch(target, wait=5), lab.assert_original(target, build.run / elf))


def test_an_exception_flies_through_a_patched_function(patched):
    """The handler behind it gets it, and the patched function's own scope is left."""
    target, _, undo = patched
    left = target.ask("left")
    assert [target.ask(f"through {n}") for n in (1, 7, 200)] == [1, 7, 200]
    assert target.ask("left") == left + 3
    undo()
    assert target.ask("through 7") == 7 and target.ask("pass 3") == 4


def test_a_patched_function_catches(patched):
    target, _, undo = patched
    assert target.ask("catch 9") == 1009
    undo()
    assert target.ask("catch 9") == 9


def test_a_patched_function_throws(patched):
    target, _, undo = patched
    assert (target.ask("throw 5"), target.ask("throw 50")) == (5, -14)
    undo()
    assert target.ask("throw 50") == -9


def test_a_patched_method_is_called_through_the_vtable(patched):
    target, _, undo = patched
    assert (target.ask("virtual 4"), target.ask("virtual 3")) == (65, 7)
    undo()
    assert target.ask("virtual 4") == 17


def test_backtrace_sees_all_frames_through_a_patched_function(patched):
    target, frames, undo = patched
    assert frames > 4 and target.ask("backtrace") == frames
    undo()
    assert target.ask("backtrace") == frames
