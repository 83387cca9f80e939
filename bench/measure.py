# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benches of processes share: the gaps target, its patch, a scratch folder; percentiles and tables."""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "scenario"))

import lab  # noqa: E402  (needs the path above)


@contextlib.contextmanager
def laboratory():
    """(kcare, the built gaps target, the patch for gaps_call, a folder) in a scratch folder."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kcare-bench-"))
    try:
        cache = os.environ.get("KCARE_CACHE", "/var/cache/kcare")
        kcare = lab.Kcare(os.environ["KCARE_BUILD_DIR"], folder / "root", cache)
        build = lab.Build("gaps", "pie", folder / "gaps")
        (folder / "patches").mkdir()
        make_patch = lab.PatchMaker(kcare, folder / "patches")
        yield kcare, build, make_patch(build, lab.edit("gaps_call.c", "return x + 1;", "return x + 2;")), folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values, share):
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 100) - 1))]


def median(values):
    return percentile(values, 50)
