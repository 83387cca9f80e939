# SPDX-License-Identifier: GPL-2.0-or-later
"""The author of `make demo`: from fixes of sources to the archives of two patchsets, one for a library, one for a kernel."""
import pathlib
import subprocess
import sys

from stage import TOP, Failure, Shell, say

sys.path.append(str(TOP / "tests/vm"))

import cache  # noqa: E402 (the path comes first)
import kernels  # noqa: E402

CVE = "CVE-2026-45445"
KERNEL = "6.1 oldest amd64"  # the oldest whose sources the archive still has
NEWEST_KERNEL = "6.1 newest amd64"  # has the fixes
KERNEL_FIXES = ["raw-ihl", "prctl-auxv", "CVE-2026-68294"]
LIBRARY_PATCHSET, KERNEL_PATCHSET = "U20261123_01", "K20261123_01"


class Author:
    def __init__(self, work):
        self.work, self.shell = work, Shell("author$", work)
        self.shell.show("kcare-build keygen author")

    def make_library_patchset(self):
        """Gives the target, PACKAGE=VERSION, and the archive."""
        say("  (the first time, this downloads the sources of two packages, and prepares one)")
        fix, target = derive_library_fix(self.work)
        self.shell.show(f"cat {fix}", lines=40)
        self.shell.watch(f"kcare-build prepare user {target}")
        return target, self.make(f"user {target} --fix {fix}", LIBRARY_PATCHSET)

    def make_kernel_patchset(self, release):
        say("  (the first time, this downloads the sources of two kernels, and prepares those of one)")
        fixes = [kernels.derived_fix(cache.folder(), name) for name in KERNEL_FIXES]
        for fix in fixes:
            (self.work / fix.name).write_bytes(fix.read_bytes())
        self.shell.show(f"grep -h ^Description: {' '.join(fix.name for fix in fixes)}")
        self.shell.watch(f"kcare-build prepare kernel {release}")
        brought_by, _ = kernels.resolve(NEWEST_KERNEL, cache.folder())
        return self.make(f"kernel {release}{''.join(f' --fix {fix.name}' for fix in fixes)} --effective-version {brought_by}",
                         KERNEL_PATCHSET)

    def make(self, what, patchset):
        """Builds the one patch of a patchset; gives the archive."""
        self.shell.watch(f"kcare-build {what} --level 1 --patchset {patchset} --key author/author.key -o {patchset}")
        archive = f"{patchset}.tar.bz2"
        self.shell.show(f"kcare-build patchset {patchset} {patchset} --key author/author.key -o {archive}")
        return archive

    def find_library(self, target):
        """The folder with libcrypto as the package shipped it, in the builder's cache."""
        code, path = self.shell.run(f"kcare-build prepare user {target} --print-path")
        if code != 0:
            raise Failure(path)
        return next(pathlib.Path(path.strip()).rglob("libcrypto.so.3")).parent


def derive_library_fix(work):
    """The fix is the difference of two source packages; which pair, the archive decides. Gives its file, and PACKAGE=VERSION."""
    done = subprocess.run([TOP / "tools/derive-fix", CVE], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"derive-fix could not derive the fix of {CVE}")
    fields = dict(line.split(": ", 1) for line in done.stdout.split("\n\n")[0].splitlines())
    (work / f"{CVE}.patch").write_text(done.stdout)
    return f"{CVE}.patch", f"{fields['Package']}={fields['Version']}"


def find_kernel():
    """The guest's, with its image."""
    return kernels.Kernel(cache.folder(), *kernels.resolve(KERNEL, cache.folder()))
