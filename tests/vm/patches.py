# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch files that guests work with: built before they boot, from patches.toml, kept by what went into them."""
import concurrent.futures
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import tomllib

import kernels
import secure_boot
from cache import TOP, Failure, Lock, call, digest, drop_unused, say

FIXES = TOP / "tests/vm/fixes"
BUILD_LIMIT_S, JOBS = 900, 2


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


def read(name):
    with open(TOP / "tests/vm" / name, "rb") as file:
        return tomllib.load(file)


def wanted(guest):
    """{name: entry} of the patches for a guest: those of patches.toml, and one for each fix of fixes.toml."""
    table = read("patches.toml") | {name: {"fixes": [name]} | what for name, what in derived().items()}
    return {name: entry for name, entry in table.items() if guest in entry.get("guests", ["6.1"])}


@functools.cache
def derived():
    """{name: where it is in the sources} of the fixes of fixes.toml."""
    return {name: {"package": "linux-source-6.1"} | what for name, what in read("guest/fixes.toml").items()}


def builder_stamp(build):
    """Changes when the builder or what it compiles into patches does. Of its sources: the program itself differs from clone to clone."""
    call(["ninja", "-C", build, "src/cmd/kcare-build"])
    inputs = call(["ninja", "-C", build, "-t", "inputs", "src/cmd/kcare-build"]).splitlines()
    sources = {(build / name).resolve() for name in inputs if name.endswith(".c")}
    headers = {path for room in {source.parent for source in sources} for path in room.glob("*.h")}
    compiled_in = {path for path in (TOP / "kmod").rglob("*") if path.is_file()}
    return digest(*(part for path in sorted(sources | headers | compiled_in) for part in (path.relative_to(TOP), path.read_bytes())))


class Builder:
    def __init__(self, cache, build):
        self.cache, self.folder = cache, cache / "patches"
        self.program, self.stamp = build / "src/cmd/kcare-build", builder_stamp(build)
        self.author = Author(cache, self.program)
        self.folder.mkdir(exist_ok=True)
        self.slots = threading.Semaphore(JOBS)
        drop_unused(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def prepare(self, release):
        """Once, and before several builds want it at the same time."""
        call([self.program, "prepare", "kernel", release], stdin=subprocess.DEVNULL)

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
        with self.slots, Lock(self.folder / f".{key}.lock"):
            return self.cached(key) or self.make(key, release, fixes, arguments, name)

    def fix_path(self, fix):
        """A file of fixes/, a fix of fixes.toml, or one that tools/derive-fix knows."""
        path = FIXES / fix
        return path if path.exists() else kernels.derived_fix(self.cache, fix, derived().get(fix))

    def cached(self, key):
        folder = self.folder / key
        if not folder.exists():
            return None
        os.utime(folder)
        return next(folder.glob("*.kpatch")), None

    def make(self, key, release, fixes, arguments, name):
        say(f"building the patch {name} for {release}")
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
    table = wanted(guest)
    if table:
        builder.prepare(release)
    rounds = [{name: entry for name, entry in table.items() if "previous" not in entry},
              {name: entry for name, entry in table.items() if "previous" in entry}]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for entries in rounds:
            results = pool.map(lambda item: builder.build(release, *item, built), entries.items())
            for name, (path, problem) in zip(list(entries), results):
                built[name] = path
                if problem:
                    say(f"the patch {name} was not built: {problem.strip()}")
                    path = folder / f"{name}.error"
                    path.write_text(problem)
                files[f"kcare/patches/{name}{path.suffix}"] = str(path)
    return files
