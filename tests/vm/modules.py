# SPDX-License-Identifier: GPL-2.0-or-later
"""The modules of tests/vm/modules, made by hand for what no patch file can show, compiled for a guest's kernel."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from cache import TOP, Failure, Lock, call, digest, drop_unused

SOURCES = [TOP / "tests/vm/modules", *(TOP / "kmod" / name for name in [
    "kcare.c", "kcare_abi.h", "kcare_fix.h", "kcare_template.h", "template.c"])]
NAMES = ["sleepy", "kcare_livepatch_1", "kcare_livepatch_2", "kcare_livepatch_3", "foreign_livepatch",
         "refused_livepatch", "kcare"]


def source_files():
    for path in SOURCES:
        yield from sorted(path.iterdir()) if path.is_dir() else [path]


def compiler(objects):
    """gcc-12, as the kernel itself was compiled."""
    text = (objects / "include/generated/compile.h").read_text()
    return re.search(r'LINUX_COMPILER\s+"(\S+)', text)[1]


def make(release, program, folder):
    done = subprocess.run([program, "prepare", "kernel", release, "--print-path"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Failure(f"the kernel {release} cannot be prepared: {done.stderr}")
    objects = pathlib.Path(done.stdout.splitlines()[-1]) / "obj"
    with tempfile.TemporaryDirectory(prefix="kcare-modules-") as work:
        for path in source_files():
            shutil.copy(path, work)
        call(["make", "-C", objects, f"M={work}", f"CC={compiler(objects)}", "modules"])
        for name in NAMES:
            shutil.copy(f"{work}/{name}.ko", folder)


def share(release, program, cache, folder):
    """{place in the guest: host path}: /kcare/modules/NAME.ko, or /kcare/modules/error with what went wrong."""
    key = digest(release, *(path.name for path in source_files()), *(path.read_bytes() for path in source_files()))
    kept = cache / "modules" / key
    kept.parent.mkdir(exist_ok=True)
    drop_unused(path for path in kept.parent.iterdir() if not path.name.startswith("."))
    with Lock(kept.parent / f".{key}.lock"):
        try:
            if not kept.exists():
                with tempfile.TemporaryDirectory(prefix=f".{key}-", dir=kept.parent) as work:
                    part = pathlib.Path(work) / "part"
                    part.mkdir()
                    make(release, program, part)
                    part.rename(kept)
        except Failure as problem:  # fails the tests that want them, not the others
            print(f"vm: the test modules were not built: {problem}", flush=True)
            (folder / "modules.error").write_text(str(problem))
            return {"kcare/modules/error": str(folder / "modules.error")}
    os.utime(kept)
    return {f"kcare/modules/{name}.ko": str(kept / f"{name}.ko") for name in NAMES}
