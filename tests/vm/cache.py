# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of tests/vm, /var/cache/kcare/vm or $KCARE_VM_CACHE: made under locks, renamed into place when whole."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
UNUSED_MAX_AGE_S = 7 * 24 * 60 * 60


class Failure(Exception):
    """What keeps a guest from running; said in one line."""


def say(text):
    """A whole line at once: patches are built in threads."""
    sys.stdout.write(f"vm: {text}\n")
    sys.stdout.flush()


def folder():
    path = pathlib.Path(os.environ.get("KCARE_VM_CACHE", "/var/cache/kcare/vm"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Failure(f"{path}: {problem.strerror}; set KCARE_VM_CACHE to a folder of yours") from problem
    return path


def call(argv, **options):
    done = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          **options)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Lock:
    """Held by one process; the kernel lets go of it when that one dies."""

    def __init__(self, path):
        self.path, self.file = path, None

    def __enter__(self):
        self.file = open(self.path, "w", encoding="ascii")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def digest(*parts):
    state = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()[:16]


def drop_unused(paths):
    """Removes what no run has used for a week."""
    for path in paths:
        if time.time() - path.stat().st_mtime > UNUSED_MAX_AGE_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
