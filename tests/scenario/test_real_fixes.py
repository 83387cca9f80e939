# SPDX-License-Identifier: GPL-2.0-or-later
"""Real holes of real Debian libraries: vulnerable, patched, fixed, unpatched, vulnerable, in one running process."""

import pytest

import cms
import lab

SEGV = 11


@pytest.fixture(scope="session")
def hole(workshop):
    """A program from tests/targets that asks the hole whether it is there."""

    def make(name, *libraries):
        program = workshop / name
        sources = [str(lab.TARGETS / f"{name}.c"), str(lab.TARGETS / "loop.c")]
        lab.call(["gcc", "-O2", "-g", "-D_GNU_SOURCE", *sources, *libraries, "-o", str(program)], workshop)
        return program

    return make


def prove(kcare, target, folder, question, vulnerable, fixed, cve, library):
    """The story of one hole in one process, twice: undoing must leave nothing that gets in the way of the next time."""
    for _ in range(2):
        assert target.ask(question) == vulnerable, "the process is not vulnerable"
        kcare.patch(target, folder, wait=10)
        assert target.ask(question) == fixed
        assert target.ask(question) == fixed
        assert cve in kcare.info(target)[library]["cve"]
        kcare.unpatch(target, wait=10)
        assert target.ask(question) == vulnerable


def test_cve_2026_42766_cms_password_recipient(packages, kcare, hole, spawn, tmp_path):
    """A CMS message without the optional key derivation algorithm: SIGSEGV in libcrypto, or a clean error."""
    fix = packages.derive("CVE-2026-42766")
    program = hole("hole_crypto", "-lcrypto")
    good, bad = cms.password_messages(tmp_path)
    library = fix.file("libcrypto.so.3")
    target = spawn(program, environment={"LD_LIBRARY_PATH": str(library.parent)})
    folder = packages.patch(fix.target, fix.path)
    prove(kcare, target, folder, f"pwri {bad}", SEGV, 0, "CVE-2026-42766", "libcrypto.so.3")
    kcare.patch(target, folder, wait=10)
    assert target.ask(f"pwri {good}") == -1, "an honest message can still be read"
    kcare.unpatch(target, wait=10)
    lab.assert_original(target, library)


def test_cve_2026_45445_aes_ocb_ignores_the_nonce(packages, kcare, hole, spawn):
    fix = packages.derive("CVE-2026-45445")
    library = fix.file("libcrypto.so.3")
    target = spawn(hole("hole_crypto", "-lcrypto"), environment={"LD_LIBRARY_PATH": str(library.parent)})
    prove(kcare, target, packages.patch(fix.target, fix.path), "ocb", 1, 0, "CVE-2026-45445", "libcrypto.so.3")
    lab.assert_original(target, library)


def test_both_openssl_fixes_in_one_cumulative_patch(packages, kcare, hole, spawn):
    """Level 1 has one fix, level 2 both."""
    first, second = packages.derive("CVE-2026-45445"), packages.derive("CVE-2026-42766")
    if first.target != second.target:
        pytest.skip(f"the archive has no common version: {first.target}, {second.target}")
    library = first.file("libcrypto.so.3")
    target = spawn(hole("hole_crypto", "-lcrypto"), environment={"LD_LIBRARY_PATH": str(library.parent)})
    kcare.patch(target, packages.patch(first.target, first.path), wait=10)
    assert kcare.info(target)["libcrypto.so.3"]["cve"] == ["CVE-2026-45445"]
    second_level = packages.patch(first.target, first.path, second.path, level=2, patchset="U20261123_02")
    kcare.patch(target, second_level, wait=10)
    info = kcare.info(target)["libcrypto.so.3"]
    assert info["patchlvl"] == 2 and sorted(info["cve"]) == ["CVE-2026-42766", "CVE-2026-45445"]
    assert target.ask("ocb") == 0
    kcare.unpatch(target, wait=10)
    assert target.ask("ocb") == 1


def test_cve_2025_15281_wordexp(packages, kcare, hole, spawn):
    """The hole is in libc itself: the program runs with the vulnerable libc and its own loader."""
    fix = packages.derive("CVE-2025-15281")
    loader, libc = fix.file("ld-linux-x86-64.so.2"), fix.file("libc.so.6")
    program = hole("hole_wordexp")
    script = program.with_suffix(".sh")
    script.write_text(f'#!/bin/sh\nexec "{loader}" --library-path "{libc.parent}" "{program}"\n')
    script.chmod(0o755)
    target = spawn(script)
    prove(kcare, target, packages.patch(fix.target, fix.path), "wordexp", 3, 1, "CVE-2025-15281", "libc.so.6")
    lab.assert_original(target, libc)

