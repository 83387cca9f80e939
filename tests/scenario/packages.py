# SPDX-License-Identifier: GPL-2.0-or-later
"""Real packages: fixes that are derived from two source packages at run time, and patches for the binary package.

Which pair of versions has the fix is known to tools/derive-fix; when the archive has dropped a version it picks another
pair and says so in the header of the fix.
"""

import difflib
import os
import pathlib
import subprocess
from dataclasses import dataclass

from lab import DONE

TOP = pathlib.Path(__file__).resolve().parents[2]


@dataclass
class RealFix:
    """A fix with its header, the package that it is for, and the prepared tree with the vulnerable binaries."""

    path: pathlib.Path
    package: str
    version: str
    tree: pathlib.Path

    @property
    def target(self):
        return f"{self.package}={self.version}"

    def file(self, name):
        """A file of the binary package."""
        return next(path for path in sorted(self.tree.rglob(name)) if path.is_file())


class Packages:
    """Makes and remembers fixes and patches of real packages."""

    def __init__(self, kcare, folder, cache):
        self.kcare, self.folder = kcare, folder
        self.environment = dict(os.environ, KCARE_CACHE=str(cache))
        self.fixes, self.trees, self.patches = {}, {}, {}

    def derive(self, cve):
        if cve not in self.fixes:
            done = subprocess.run([TOP / "tools/derive-fix", cve], env=self.environment, capture_output=True, text=True,
                                  timeout=900)
            assert done.returncode == 0, f"derive-fix {cve}: {done.stderr}"
            path = self.folder / f"{cve}.patch"
            path.write_text(done.stdout)
            header = dict(line.split(": ", 1) for line in done.stdout.split("\n\n")[0].splitlines() if ": " in line)
            assert header["CVE"] == cve, header
            package, version = header["Package"], header["Version"]
            self.fixes[cve] = RealFix(path, package, version, self.prepare(f"{package}={version}"))
        return self.fixes[cve]

    def prepare(self, target):
        if target not in self.trees:
            done = self.kcare.build("prepare", "user", target, "--print-path", timeout=1800)
            assert done.code == DONE, done
            self.trees[target] = pathlib.Path(done.out.strip().splitlines()[-1])
        return self.trees[target]

    def edit(self, target, file, changes, name):
        """A fix of our own for a package: `changes` are (old, new) in one file of its prepared source."""
        source = next(path for path in sorted(self.prepare(target).rglob(pathlib.Path(file).name))
                      if str(path).endswith(file))
        before = text = source.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{file}: {text.count(old)} places match {old!r}"
            text = text.replace(old, new)
        diff = difflib.unified_diff(before.splitlines(True), text.splitlines(True), f"a/{file}", f"b/{file}")
        path = self.folder / f"{name}.patch"
        path.write_text(f"Name: {name}\nDescription: {name}\nLicense: Apache-2.0\n\n" + "".join(diff))
        return path

    def patch(self, target, *fixes, level=1, patchset="U20261123_01"):
        """The folder with the patch files."""
        key = (target, fixes, level, patchset)
        if key not in self.patches:
            out = self.folder / f"out-{len(self.patches)}"
            arguments = [word for fix in fixes for word in ("--fix", fix)]
            done = self.kcare.build("user", target, *arguments, "--level", level, "--patchset", patchset, "--key",
                                    self.kcare.key, "-o", out, timeout=1800)
            assert done.code == DONE and list(out.glob("*.kpatch")), done
            self.patches[key] = out
        return self.patches[key]
