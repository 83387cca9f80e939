# SPDX-License-Identifier: GPL-2.0-or-later
"""What a fix may contain, in every kind of program and in a library: each is patched while it runs, and undone."""

from dataclasses import dataclass

import pytest

import lab
from lab import DONE, REFUSED, edit

C = "content.c"


@dataclass(frozen=True)
class Case:
    """A fix, and what the target answers before it, with it and after it was undone."""

    fix: lab.Fix
    before: tuple
    after: tuple
    undone: tuple = ()


CASES = {
    "changed_function": Case(edit(C, "x * 3 + 1;", "x * 3 + 2;"), (("value 2", 7),), (("value 2", 8),)),
    "new_function": Case(
        edit(C, "long content_new_function(long x)\n{\n\treturn triple(x) + 1;",
             "static __attribute__((noinline)) long fourfold(long x)\n{\n\treturn triple(x) + x;\n}\n\n"
             "long content_new_function(long x)\n{\n\treturn fourfold(x) + 1;"),
        (("new_function 2", 7),), (("new_function 2", 9),)),
    "new_global": Case(
        edit(C, "long content_new_global(long x)\n{\n\treturn x + stored;",
             "long fresh = 40;\nstatic long zeroed[100];\n\nlong content_new_global(long x)\n{\n"
             "\tfresh++;\n\tzeroed[x] += 2;\n\treturn x + stored + fresh + zeroed[x];"),
        (("new_global 2", 102),), (("new_global 2", 145), ("new_global 2", 148), ("new_global 3", 148))),
    "rodata_data_and_bss_of_the_original": Case(
        edit(C, "counted += x;\n", "counted += 10 * x;\n\tstored++;\n"),
        (("references 2", 5 + 100 + 3), ("peek", 100002)),
        (("references 3", 7 + 101 + 5), ("peek", 101032)),
        (("references 2", 5 + 101 + 3), ("peek", 101034))),
    "new_import_with_its_version": Case(
        # realpath@GLIBC_2.2.5 refuses NULL, realpath@@GLIBC_2.3 allocates.
        edit(C, "return x + primes[1];",
             "char *path = realpath(\"/\", NULL);\n\n\tif (!path)\n\t\treturn -1;\n\tfree(path);\n\treturn x + 1000;"),
        (("import 2", 5),), (("import 2", 1002),)),
    "new_import_of_data": Case(
        edit(C, "return x + primes[2];", "return x + primes[2] + optind;"),
        (("import_data 2", 7),), (("import_data 2", 8),)),
    "new_import_that_is_an_ifunc": Case(
        edit(C, "return x + primes[3];", "return x + (long)strnlen(words[x % 5], 64);"),
        (("import_ifunc 3", 10),), (("import_ifunc 3", 8), ("import_ifunc 2", 5))),
    "new_import_that_is_an_ifunc_of_doubles": Case(
        edit(C, "return x + primes[4];", "return x + (long)(fma((double)x, 2.5, 3.0) * 2);"),
        (("import_float 4", 15),), (("import_float 4", 30), ("import_float 6", 42))),
    "ifunc_of_the_target": Case(
        edit(C, "return pick(x) + 1;", "return pick(x) + 3;"), (("own_ifunc 4", 9),), (("own_ifunc 4", 11),)),
    "thread_local_variables": Case(
        edit(C, "tls_static += x;\n\ttls_exported += 1;", "tls_static += 2 * x;\n\ttls_exported += 5;"),
        (("tls 3", 10071),), (("tls 3", 16076), ("tls_thread 3", 13075), ("tls_peek", 16076)),
        (("tls 3", 19077), ("tls_thread 3", 10071))),
    "jump_table": Case(
        edit(C, "return (long)strlen(words[4]);", "return (long)strlen(words[3]) + 30;"),
        tuple((f"jump_table {i}", v) for i, v in enumerate((27, 101, -5, 5, 91, 300, 66, 77, -1))),
        tuple((f"jump_table {i}", v) for i, v in enumerate((27, 101, -5, 35, 91, 300, 66, 77, -1)))),
    "static_local_keeps_its_value": Case(
        edit(C, "\tstatic long calls;\n\n\tcalls += x;\n\treturn calls;",
             "\tstatic long more;\n\tstatic long calls;\n\n\tmore += 2;\n\tcalls += x;\n\treturn calls + more;"),
        (("static_local 5", 5),), (("static_local 1", 8), ("static_local 1", 11)), (("static_local 1", 8),)),
    "string_literals": Case(
        edit(C, '"greater" : "less"', '"much greater" : "less"'),
        (("literals 9", 9), ("literals 3", 6)), (("literals 9", 14), ("literals 3", 6))),
    "recursion": Case(
        edit(C, "return below + 1;", "return below + 2;"), (("recursion 100", 100),), (("recursion 100", 200),)),
    "function_as_long_as_the_jump": Case(
        edit(C, "long content_edge(long x)\n{\n\treturn x + 1;", "long content_edge(long x)\n{\n\treturn x + 9;"),
        (("edge 2", 3),), (("edge 2", 11),)),
    "static_function_behind_a_pointer": Case(
        edit(C, "return x + 20;", "return x + 30;"), (("through_pointer 1", 21),), (("through_pointer 1", 31),)),
}
NEW_IMPORTS = {name for name in CASES if name.startswith("new_import")}


def can_be(name, variant, case):
    """A static program imports nothing. A program refers to the data of a library directly (the linker makes a copy),
    which a patch cannot: it must be refused, see below."""
    return not (variant.startswith("static") and case in NEW_IMPORTS) and not (
        name == "content" and case == "new_import_of_data")


# Where the code lives, how it is built, and whether each case is a patch of its own (or all are one).
PLACES = [
    ("content", "pie", True),
    ("content-library", "pie", True),
    ("content", "non-pie", False),
    ("content", "static-pie", False),
    ("content", "static", False),
    ("content", "cet", False),
    ("content", "o3", False),
    ("content", "now", False),
    ("content-library", "local-dynamic", False),
    ("content-library", "initial-exec", False),
    ("content-library", "cet", False),
]


def combinations():
    for name, variant, alone in PLACES:
        for case in CASES:
            if can_be(name, variant, case):
                yield pytest.param(name, variant, alone, case, id=f"{name}-{variant}-{case}")


def ask_all(target, questions):
    answers = tuple((question, target.ask(question)) for question, _ in questions)
    assert answers == tuple(questions)


def patch_for(build, name, variant, alone, case, make_patch):
    elf = next(iter(build.recipe.libraries), "program")
    if alone:
        return make_patch(build, CASES[case].fix, elf), elf
    cases = [case for case in CASES if can_be(name, variant, case)]
    everything = lab.Fix(tuple(change for case in cases for change in CASES[case].fix.edits))
    return make_patch(build, everything, elf), elf


@pytest.mark.parametrize("name,variant,alone,case", combinations())
def test_a_fix_works_and_can_be_undone(build_target, make_patch, spawn, kcare, name, variant, alone, case):
    build = build_target(name, variant)
    patch, elf = patch_for(build, name, variant, alone, case, make_patch)
    target = spawn(build)
    ask_all(target, CASES[case].before)
    kcare.patch(target, patch, wait=5)
    ask_all(target, CASES[case].after)
    lab.assert_whole(target, build, elf)
    kcare.unpatch(target, wait=5)
    lab.assert_original(target, build.run / elf)
    ask_all(target, CASES[case].undone or CASES[case].before)


def test_building_leaves_the_source_alone(build_target, make_patch):
    build = build_target("content")
    before = {path.name: path.read_bytes() for path in build.source.iterdir()}
    make_patch(build, CASES["changed_function"].fix)
    assert {path.name: path.read_bytes() for path in build.source.iterdir()} == before


def test_several_fixes_make_one_patch(build_target, make_patch, spawn, kcare):
    build = build_target("content")
    fixes = [CASES[name].fix for name in ("changed_function", "recursion", "jump_table")]
    fixes = [lab.Fix(fix.edits, cve=f"CVE-2026-2000{i}") for i, fix in enumerate(fixes)]
    target = spawn(build)
    kcare.patch(target, make_patch(build, fixes), wait=5)
    for name in ("changed_function", "recursion", "jump_table"):
        ask_all(target, CASES[name].after)
    entry = kcare.info(target)["program"]
    assert sorted(entry["cve"]) == ["CVE-2026-20000", "CVE-2026-20001", "CVE-2026-20002"]


def test_a_new_import_that_a_static_program_does_not_have_is_refused(build_target, make_patch):
    """Nothing can be loaded into a static program: the builder says so, and makes nothing."""
    build = build_target("content", "static")
    fix = edit(C, "return x + primes[1];", "return x + getsubopt(NULL, NULL, NULL);")
    result, files = make_patch.try_make(build, fix)
    assert result.code == REFUSED and not files, result
    assert "getsubopt" in result.err


def test_new_data_of_a_library_in_a_program_is_refused_with_a_way_out(build_target, make_patch):
    result, files = make_patch.try_make(build_target("content"), CASES["new_import_of_data"].fix)
    assert result.code == REFUSED and not files, result
    assert "no-address" in result.err and "optind" in result.err


def test_program_and_library_are_patched_in_one_transaction(worker, make_patch, spawn, kcare, both):
    target = spawn(worker)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1010)
    kcare.patch(target, *both, wait=5)
    assert (target.ask("value 10"), target.ask("one 10")) == (32, 1011)
    entry = kcare.info(target)
    assert entry["program"]["patchlvl"] == 1 and entry["libone.so.1"]["patchlvl"] == 1
    kcare.unpatch(target, wait=5)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1010)
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")


def test_a_stored_pointer_to_a_new_function_works_after_unpatching(build_target, make_patch, spawn, kcare):
    """The code of an address-taken new function stays mapped, and info says that it is there."""
    build = build_target("content")
    fix = edit(C, "void content_arm(long x)\n{\n\tstored += x;\n\tcontent_hook = NULL;",
               "static __attribute__((noinline)) long new_hook(long x)\n{\n\treturn x + 500;\n}\n\n"
               "void content_arm(long x)\n{\n\tstored += x;\n\tcontent_hook = new_hook;")
    target = spawn(build)
    target.ask("arm 0")
    assert target.ask("fire 1") == -1
    kcare.patch(target, make_patch(build, fix), wait=5)
    target.ask("arm 0")
    assert target.ask("fire 1") == 501
    kcare.unpatch(target, wait=5)
    lab.assert_original(target, build.program)
    assert target.ask("fire 1") == 501, "the pointer outlives the patch"
    listed = kcare.ctl("info", "-p", target.pid)
    assert listed.code == DONE and "program" in listed.out, listed
    target.ask("arm 0")
    assert target.ask("fire 1") == -1
    kcare.patch(target, make_patch(build, fix), wait=5)
    target.ask("arm 0")
    assert target.ask("fire 1") == 501, "patched again beside the code that stayed"
