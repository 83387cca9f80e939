# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixes that cannot be made safely in a running kernel: kcare-build refuses each, with its rule and a way out.

The kernel is the oldest of Debian's series 6.1 whose sources the archive still has, as in tests/vm.
"""
import json
import pathlib
import sys

import pytest

import lab
from conftest import need_program

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))

import cache as vm_cache  # noqa: E402 (the path comes first)
import kernels  # noqa: E402

FIXES = vm_cache.TOP / "tests/vm/fixes"
LOADAVG_SHOW = "	get_avenrun(avnrun, FIXED_1/200, 0);\n"

# name: (edit, rule, words of the message)
REFUSED = {
    "a struct that grows": (
        lab.Fix((("ipc/shm.c", "	time64_t		shm_ctim;\n", "	time64_t		shm_ctim;\n	char			kcare[512];\n"),
                 ("ipc/shm.c", "	key_t key = params->key;\n	int shmflg", "	key_t key = params->key + !params;\n	int shmflg"))),
        "struct-layout", ["shmid_kernel"]),
    "another initial value": (
        lab.edit("kernel/sys.c", "int overflowuid = DEFAULT_OVERFLOWUID;", "int overflowuid = 4242;"),
        "data-changed", ["overflowuid"]),
    "code that runs once at boot": (
        lab.edit("fs/proc/loadavg.c", "	pde_make_permanent(pde);\n", ""),
        "init", ["proc_loadavg_init", "KCARE_PRE_PATCH"]),
    "a function that ftrace does not see": (
        lab.edit("kernel/rcu/tree.c", "	rcu_preempt_deferred_qs(current);\n}\nEXPORT_SYMBOL_GPL(rcu_momentary_dyntick_idle);",
                 "	if (seq)\n		rcu_preempt_deferred_qs(current);\n}\nEXPORT_SYMBOL_GPL(rcu_momentary_dyntick_idle);"),
        "no-fentry", ["rcu_momentary_dyntick_idle"]),
    "a new per-CPU variable": (
        lab.Fix((("fs/proc/loadavg.c", "static int loadavg_proc_show",
                  "static DEFINE_PER_CPU(unsigned long, kcare_reads);\n\nstatic int loadavg_proc_show"),
                 ("fs/proc/loadavg.c", LOADAVG_SHOW, LOADAVG_SHOW + "	this_cpu_inc(kcare_reads);\n"))),
        "percpu-new", ["kcare_reads", "nr_cpu_ids"]),
    "a static key of a module": (
        lab.edit("net/netfilter/nf_tables_core.c", "	info.trace = false;\n	if (static_branch_unlikely(&nft_trace_enabled))",
                 "	info.trace = !pkt;\n	if (static_branch_unlikely(&nft_trace_enabled))"),
        "static-key", ["static key nft_", "static_key_enabled"]),
    "the vdso": (
        lab.edit("arch/x86/entry/vdso/vclock_gettime.c", "	return __cvdso_time(t);", "	return __cvdso_time(t) + !t;"),
        "vdso", []),
    "assembler of a library": (
        lab.edit("arch/x86/lib/memcpy_64.S", "SYM_FUNC_START_LOCAL(memcpy_erms)\n", "SYM_FUNC_START_LOCAL(memcpy_erms)\n	nop\n"),
        "lib.a", ["arch/x86/lib/memcpy_64"]),
    "a table of functions that objects are known by": (
        lab.edit("net/socket.c", "	.show_fdinfo =	sock_show_fdinfo,\n", ""),
        "data-changed", ["socket_file_ops", "sock_from_file"]),
    "a fixup of PCI devices": (
        lab.edit("drivers/pci/quirks.c", "static void quirk_mmio_always_on(struct pci_dev *dev)\n{\n",
                 "static void kcare_fixup(struct pci_dev *dev)\n{\n	dev->dev_flags |= 1;\n}\n"
                 "DECLARE_PCI_FIXUP_ENABLE(0x1234, 0x4321, kcare_fixup);\n"
                 "static void quirk_mmio_always_on(struct pci_dev *dev)\n{\n"),
        "initcall", ["pci_fixup", "KCARE_PRE_PATCH"]),
    "a newly exported symbol": (
        lab.edit("fs/pipe.c", "EXPORT_SYMBOL(pipe_lock);", "EXPORT_SYMBOL(pipe_lock);\nEXPORT_SYMBOL(create_pipe_files);"),
        "export-new", ["create_pipe_files"]),
}


class Prepared:
    """A kernel that kcare-build has prepared."""

    def __init__(self, kcare, folder):
        self.kcare, self.folder, self.made = kcare, folder, 0
        self.release, _ = kernels.resolve("6.1 oldest amd64", vm_cache.folder())
        made = kcare.build("prepare", "kernel", self.release, "--print-path", timeout=1200)
        assert made.code == lab.DONE, made
        self.path = pathlib.Path(made.out.splitlines()[-1])
        self.source = (self.path / "obj/source").resolve()

    def build(self, *fixes, level=1, extra=(), kernel=None):
        """The result and the patch file; None for the latter when there is none."""
        self.made += 1
        place = self.folder / f"{self.made:03d}"
        place.mkdir()
        arguments = ["kernel", *(kernel or [self.release])]
        for number, fix in enumerate(fixes):
            path = fix
            if isinstance(fix, lab.Fix):
                path = place / f"{number}.patch"
                path.write_text(fix.text(self.source))
            arguments += ["--fix", path]
        result = self.kcare.build(*arguments, "--level", level, "--patchset", "K20261123_01", "--key", self.kcare.key, "-o",
                                  place / "out", *extra)
        return result, next((place / "out").glob("*.kpatch"), None)


@pytest.fixture(scope="module")
def prepared(kcare, workshop):
    need_program("gcc-12", "gcc-12")
    folder = workshop / "kernels"
    folder.mkdir()
    return Prepared(kcare, folder)


def check_refused(result, patch, rule, words):
    assert result.code == lab.REFUSED and patch is None, f"it was not refused: {result}"
    assert f"rule: {rule}: " in result.err, f"not by the rule {rule}: {result}"
    missing = [word for word in words if word not in result.err]
    assert not missing, f"the message does not say {missing}: {result}"


@pytest.mark.parametrize("name", REFUSED)
def test_the_fix_is_refused_with_its_rule_and_a_way_out(prepared, name):
    fix, rule, words = REFUSED[name]
    result, patch = prepared.build(fix)
    check_refused(result, patch, rule, words)


def test_a_source_that_another_source_includes_is_patched_in_both(prepared):
    old = "	if (elf_ex->e_phentsize != sizeof(struct elf_phdr))\n		goto out;"
    result, patch = prepared.build(lab.edit("fs/binfmt_elf.c", old, old.replace("elf_phdr))", "elf_phdr) || elf_ex->e_phnum == 77)")))
    assert result.code == lab.DONE and patch, result
    shown = json.loads(prepared.kcare.build("show", patch, "--json").out)
    assert shown["manifest"]["kernel"]["functions"].count("vmlinux:load_elf_phdrs") == 2, f"compat_binfmt_elf.c is left out: {shown}"


def test_a_level_that_does_not_take_over_the_states_of_the_one_before_is_refused(prepared):
    result, first = prepared.build(FIXES / "cmdline-callbacks-1.patch")
    assert result.code == lab.DONE, result
    result, patch = prepared.build(FIXES / "loadavg-mark-2.patch", level=2, extra=["--previous", first])
    check_refused(result, patch, "state", ["7001", "KCARE_STATE"])
    result, patch = prepared.build(FIXES / "cmdline-callbacks-2.patch", FIXES / "loadavg-mark-2.patch", level=2,
                                   extra=["--previous", first])
    assert result.code == lab.DONE and patch, result


def test_a_fix_that_does_not_apply_is_named_with_its_file(prepared):
    text = (FIXES / "loadavg-mark-1.patch").read_text().replace('%u/%d %d', '%u/%d %x')
    path = prepared.folder / "stale.patch"
    path.write_text(text)
    result, patch = prepared.build(path)
    assert result.code == lab.INPUT and patch is None, result
    assert "stale.patch" in result.err and "fs/proc/loadavg.c" in result.err, result


def test_an_image_that_these_sources_have_not_made_is_refused(prepared):
    other = kernels.Kernel(vm_cache.folder(), *kernels.resolve("6.1 newest amd64", vm_cache.folder()))
    result, patch = prepared.build(FIXES / "loadavg-mark-1.patch", kernel=[
        "--image", other.image, "--headers", prepared.path / f"headers/usr/src/linux-headers-{prepared.release}", "--source", prepared.source])
    assert result.code in (lab.REFUSED, lab.INPUT) and patch is None, result
    assert "headers" in result.err and "source" in result.err, f"it does not say what does not fit: {result}"


def test_an_unknown_kernel_is_an_error_that_says_where_to_look(prepared):
    result, patch = prepared.build(FIXES / "loadavg-mark-1.patch", kernel=["6.1.0-999-amd64"])
    assert result.code == lab.INPUT and patch is None, result
    assert "6.1.0-999-amd64" in result.err, result
