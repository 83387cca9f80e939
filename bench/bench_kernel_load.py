#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seconds that a kernel patch takes to load and to take effect, in a guest under emulation, beside what cannot be saved:
an empty livepatch module made by hand, and one look-up for each symbol and each further function. The cost of one look-up is
measured in the same guest, from hand-made modules that livepatch refuses after few and after many look-ups, because the last
function does not exist. Goal: at most 1.2 times that sum.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/vm"))
import cache  # noqa: E402
import image  # noqa: E402
import kernels  # noqa: E402
import machine  # noqa: E402
import modules  # noqa: E402

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
KERNEL = "6.1 oldest amd64"
FIXES = ["raw-ihl", "prctl-auxv", "CVE-2026-68294"]
LIMIT_S = 300
# Nobody reads these files while the hand-made modules are in, so that what replaces them never runs.
FUNCTIONS = ["cmdline_proc_show", "uptime_proc_show", "version_proc_show", "meminfo_proc_show", "show_softirqs", "show_stat",
             "loadavg_proc_show", "filesystems_proc_show", "execdomains_proc_show", "proc_pid_status", "proc_tgid_stat",
             "proc_pid_statm", "show_numa_map", "vmstat_show", "zoneinfo_show", "swap_show"]
NO_FUNCTION = "kcare_bench_no_such_function"

SOURCE = """// made by bench/bench_kernel_load.py
#include <linux/livepatch.h>
#include <linux/module.h>
static int replacement(void) { return 0; }
static struct klp_func funcs[] = { %s { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init start(void) { return klp_enable_patch(&patch); }
static void __exit stop(void) { }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"""


def call(*argv):
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise cache.Failure(f"{argv[0]}: {done.stderr}")
    return done.stdout


def hand_made(prepared, work):
    """The modules, by name; livepatch refuses few and many at their last function."""
    folder = work / "hand"
    folder.mkdir()
    for name, functions in (("one", FUNCTIONS[:1]), ("few", [NO_FUNCTION]), ("many", [*FUNCTIONS, NO_FUNCTION])):
        entries = " ".join(f'{{ .old_name = "{f}", .new_func = replacement }},' for f in functions)
        (folder / f"{name}.c").write_text(SOURCE % entries)
    (folder / "Kbuild").write_text("obj-m := one.o few.o many.o\n")
    objects = prepared / "obj"
    call("make", "-C", objects, f"M={folder}", f"CC={modules.compiler(objects)}", "modules")
    return {f"kcare/{name}.ko": str(folder / f"{name}.ko") for name in ("one", "few", "many")}


def payload(patch, name, target):
    """Takes one payload out of a patch file (docs/patch-format.md)."""
    data = patch.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    manifest, at = json.loads(data[16:16 + size])["signed"], 16 + size
    for entry in manifest["payloads"]:
        end = at + entry["compressed_size"]
        if entry["name"] == name:
            target.write_bytes(subprocess.run(["zstd", "-dcq"], input=data[at:end], stdout=subprocess.PIPE, check=True).stdout)
        at = end
    return manifest


def symbols(module):
    """How many different symbols livepatch must look up."""
    table = call("readelf", "-sW", module)
    return len({line.split()[-1] for line in table.splitlines() if ".klp.sym." in line})


def measure_in_guest(release, version, files, work):
    kernel = kernels.Kernel(cache.folder(), release, version)
    (work / "settings").write_text("KCARE_VM_MODE=demo\n")
    files |= {"kcare/settings": str(work / "settings"), "kcare/start": str(TOP / "tests/vm/guest/start"),
              "kcare/demo": str(TOP / "bench/guest_kernel_load.py")}
    root = image.Root(cache.folder())
    image.make_share(root, files, work / "share.tar")
    image.make_initrd(kernel, work / "initrd")
    (work / "results").write_bytes(bytes(512))
    guest = machine.Machine(cache.folder(), kernel, work / "initrd",
                            [f"{root.image}:ro", f"{kernel.modules}:ro", work / "share.tar", work / "results"], work)
    found = {}

    def line(text):
        if text.startswith("bench: "):
            name, load, settle = text.split()[1:]
            found[name] = (float(load), float(settle))

    guest.run(LIMIT_S, line)
    if len(found) != 4:
        raise cache.Failure(f"the guest did not measure: see {work}/console.log")
    return found


def main():
    release, version = kernels.resolve(KERNEL, cache.folder())
    tool = BUILD / "src/cmd/kcare-build"
    prepared = pathlib.Path(call(tool, "prepare", "kernel", release, "--print-path").strip())
    with tempfile.TemporaryDirectory(prefix="kcare-bench-") as folder:
        work = pathlib.Path(folder)
        call(tool, "keygen", work / "keys")
        fixes = [kernels.derived_fix(cache.folder(), name) for name in FIXES]
        patch = pathlib.Path(call(tool, "kernel", release, *(word for fix in fixes for word in ("--fix", fix)), "--level", 1,
                                  "--patchset", "K20261123_01", "--key", work / "keys/author.key", "-o", work / "out").strip())
        manifest = payload(patch, "patch.ko", work / "patch.ko")
        payload(patch, "kcare.ko", work / "kcare.ko")
        found = measure_in_guest(release, version, hand_made(prepared, work) | {
            "kcare/patch.ko": str(work / "patch.ko"), "kcare/kcare.ko": str(work / "kcare.ko")}, work)
        report(found, symbols(work / "patch.ko"), len(manifest["kernel"]["functions"]), release)


def report(found, n_symbols, n_functions, release):
    lookup = (found["many"][0] - found["few"][0]) / len(FUNCTIONS)
    floor = found["one"][0] + lookup * (n_symbols + n_functions - 1)
    load, settle = found["patch"]
    print(f"{release} under emulation, {len(FIXES)} fixes, {n_functions} functions, {n_symbols} symbols to look up, median of 5")
    print(f"  one look-up                        {lookup * 1000:7.1f} ms")
    print(f"  empty livepatch, insmod            {found['one'][0]:7.3f} s    to the end of the transition {found['one'][1]:6.3f} s")
    print(f"  empty livepatch and look-ups       {floor:7.3f} s    (floor)")
    print(f"  the patch, insmod                  {load:7.3f} s    {load / floor:.2f} x the floor (goal 1.2)")
    print(f"  the patch, to its end              {load + settle:7.3f} s    {(load + settle) / (floor + found['one'][1]):.2f} x "
          "the floor and the empty one's transition")


if __name__ == "__main__":
    try:
        main()
    except cache.Failure as failure:
        sys.exit(f"bench: {failure}")
