# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch files that guests work with: built before they boot, from patches.toml, kept by what went into them."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import tomllib

import kernels
import secure_boot
from cache import TOP, Failure, Lock, digest, drop_unused

FIXES = TOP / "tests/vm/fixes"
BUILD_LIMIT_S = 900


class Author:
    """One key signs all patches of the tests; guests trust it when they are told to."""

    def __init__(self, cache, program):
        self.folder = cache / "author"
        with Lock(cache / "author.lock"):
            if not self.folder.exists():
                with tempfile.TemporaryDirectory(prefix=".author-", dir=cache) as work:
                    subprocess.run([program, "keygen", f"{work}/author"], check=True, stdout=subprocess.DEVNULL)
                    pathlib.Path(work, "author").rename(self.folder)
        self.key, self.public = self.folder / "author.key", self.folder / "author.pub"


def table():
    with open(TOP / "tests/vm/patches.toml", "rb") as file:
        return tomllib.load(file)


def wanted(guest):
    """{name: entry} of the patches for a guest."""
    return {name: entry for name, entry in table().items() if guest in entry.get("guests", ["6.1"])}


def builder_stamp(build):
    """Changes when the builder or what it compiles into patches does."""
    program = build / "src/cmd/kcare-build"
    sources = sorted(path for path in (TOP / "kmod").rglob("*") if path.is_file())
    return digest(program.read_bytes(), *(path.read_bytes() for path in sources))


class Builder:
    def __init__(self, cache, build):
        self.folder, self.program, self.stamp = cache / "patches", build / "src/cmd/kcare-build", builder_stamp(build)
        self.author = Author(cache, self.program)
        self.folder.mkdir(exist_ok=True)
        drop_unused(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def build(self, release, name, entry, built):
        """(patch file, None) or (None, what the builder said). `built` has the patches made so far for this kernel."""
        try:
            fixes = [self.fix_path(fix) for fix in entry["fixes"]]
        except (Failure, OSError) as problem:
            return None, f"the fix could not be derived: {problem}"
        arguments = ["--level", entry.get("level", 1), "--patchset", entry.get("patchset", "K20261123_01"),
                     *entry.get("arguments", [])]
        if entry.get("signed_modules"):
            arguments += ["--module-key", secure_boot.Firmware(self.folder.parent).module_key]
        previous = entry.get("previous")
        if previous:
            if built.get(previous) is None:
                return None, f"there is no patch {previous}, which is the level before"
            arguments += ["--previous", built[previous]]
        key = digest(self.stamp, release, *(path.read_bytes() for path in fixes), *arguments)
        with Lock(self.folder / f".{key}.lock"):
            return self.cached(key) or self.make(key, release, fixes, arguments, name)

    @staticmethod
    def fix_path(fix):
        """A file of fixes/, or a CVE or name that tools/derive-fix knows."""
        path = FIXES / fix
        if path.exists():
            return path
        return kernels.derived_fix(fix)

    def cached(self, key):
        folder = self.folder / key
        if not folder.exists():
            return None
        os.utime(folder)
        return next(folder.glob("*.kpatch")), None

    def make(self, key, release, fixes, arguments, name):
        print(f"vm: building the patch {name} for {release}", flush=True)
        with tempfile.TemporaryDirectory(prefix=f".{key}-", dir=self.folder) as work:
            part = pathlib.Path(work) / "part"
            part.mkdir()
            command = [self.program, "kernel", release, *(word for fix in fixes for word in ("--fix", fix)), *arguments,
                       "--key", self.author.key, "-o", part]
            try:
                done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False, timeout=BUILD_LIMIT_S)
                failed, said = done.returncode != 0, done.stdout
            except subprocess.TimeoutExpired:
                failed, said = True, f"not done within {BUILD_LIMIT_S} s"
            if not failed and not list(part.glob("*.kpatch")):
                failed, said = True, f"there is no patch file, although the builder ended with 0\n{said}"
            if failed:  # not kept: the next run tries again
                return None, said
            part.rename(self.folder / key)
        return self.cached(key)


def share(release, guest, builder, folder):
    """Builds a guest's patches; {place: host path} with /kcare/patches/NAME.kpatch each, or NAME.error if that failed."""
    built, files = {}, {}
    for name, entry in wanted(guest).items():
        built[name], problem = builder.build(release, name, entry, built)
        if built[name]:
            files[f"kcare/patches/{name}.kpatch"] = str(built[name])
        else:
            print(f"vm: the patch {name} was not built: {problem.strip()}", flush=True)
            (folder / f"{name}.error").write_text(problem)
            files[f"kcare/patches/{name}.error"] = str(folder / f"{name}.error")
    return files
