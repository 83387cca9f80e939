# SPDX-License-Identifier: GPL-2.0-or-later
"""The blacklist: programs that are never patched, and a list that cannot be understood patches nobody."""

import pytest

import hosts
import lab
from conftest import need_root
from hosts import box, host  # noqa: F401 (fixtures)

VALUE = lab.edit("value.c", "return x * 3 + 1;", "return x * 3 + 2;")


@pytest.fixture
def value_file(worker, make_patch):
    return make_patch(worker, VALUE)


def write_list(host, text, override=False):
    path = host.root / ("var/cache/kcare/userspace/blacklist" if override else "var/lib/libcare/blacklist")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("rule", ["path:{folder}/*", "path: {program}", "filename:prog*", "filename: program",
                                  "regex:^{folder}/pr[[:alpha:]]+$", "regex:/run/program"])
def test_each_kind_of_rule_keeps_patches_away(host, worker, spawn, value_file, rule):
    target = spawn(worker)
    text = rule.format(folder=worker.run, program=worker.program)
    path = write_list(host, f" # first a comment\n {text}\n")
    result = host.patch(target, value_file, code=lab.REFUSED)
    assert "libcare-ctl: blacklisted: " in result.err and f"({path}:2)" in result.err, result
    lab.assert_original(target, worker.program)
    path.write_text("path:/nowhere/*\nfilename:program2\nregex:^program$\n", encoding="utf-8")
    host.patch(target, value_file, wait=10)
    assert target.ask("value 10") == 32


def test_override_replaces_the_default(host, worker, spawn, value_file):
    target = spawn(worker)
    write_list(host, "filename:program\n")
    write_list(host, "# nobody\n", override=True)
    host.patch(target, value_file, wait=10)
    # What is in comes out, whatever the list says.
    write_list(host, "filename:program\n", override=True)
    host.unpatch(target, wait=10)
    assert target.ask("value 10") == 31


@pytest.mark.parametrize("text,line", [("filename:x\nprogram\n", 2), ("regex:[a\n", 1), ("path:\n", 1),
                                       ("# fine\n\nfilename:/bin/x\n", 3)])
def test_a_bad_line_patches_nobody(host, worker, spawn, value_file, text, line):
    target = spawn(worker)
    path = write_list(host, text)
    result = host.patch(target, value_file, code=lab.INPUT)
    assert f"bad-input: {path}:{line}: " in result.err and len(result.err.splitlines()) == 1, result
    lab.assert_original(target, worker.program)


def test_a_list_that_cannot_be_read_patches_nobody(host, worker, spawn, value_file):
    target = spawn(worker)
    write_list(host, "")
    (host.root / "var/cache/kcare/userspace/blacklist").mkdir(parents=True)
    host.patch(target, value_file, code=lab.INPUT)
    lab.assert_original(target, worker.program)


def test_all_passes_over_the_blacklisted_and_tells(host, worker, box, spawn, value_file):
    target = spawn(worker, wrapper=box.enter)
    write_list(host, "filename:program\n")
    result = host.ctl("patch", "-p", "all", value_file, prefix=box.enter)
    assert result.code == lab.NOTHING and "blacklisted: 1" in result.err, result
    lines = hosts.info_lines(host.ctl("info", "-j", prefix=box.enter))
    entry = lines[box.pid_of(target)]
    assert "filename:program" in entry["blacklisted"] and entry["program"]["patchlvl"] == 0
    assert entry["program"]["missing"] == ["CVE-2026-10001"], "it is known what the process lacks"
    assert hosts.cvelist(host) == []
