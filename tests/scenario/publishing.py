# SPDX-License-Identifier: GPL-2.0-or-later
"""What scenarios and benches of the repository work with: a publisher, and a host that follows; web.py is between them.

    publisher = Publisher(build_folder, tmp_path)
    publisher.deploy(publisher.patchset("K20261101_01", [kernel_patch(1)]), "main")
    with Web(publisher.public, tmp_path / "web") as web:
        host = Host(build_folder, tmp_path / "host", publisher, web.url)
        assert host.kcarectl("--check").code == DONE

Everything is done by the real programs. Patch files by sample_patches are well-formed and nobody's code; real ones can be
given to patchset() just as well.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import time
from dataclasses import dataclass

import lab
from lab import DONE

CLOCK = """#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
time_t time(time_t *t)
{
	struct timespec now;
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	now.tv_sec += atol(getenv("CLOCK_OFF_BY"));
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
"""


def clock(folder):
    """A function: the environment of a program whose clock is off by so many seconds."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return lambda seconds: {"LD_PRELOAD": str(library), "CLOCK_OFF_BY": str(int(seconds)),
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def run(build, program, *args, root=None, env=None, timeout=120, prefix=(), **options):
    """One of our programs, to its end. `root` is its KCARE_ROOT; `prefix` leads into a namespace, as lab.Namespace has it."""
    path = next(p for p in (build / "src/cmd" / program, build / "tests/tools" / program) if p.is_file())
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment |= {"LC_ALL": "C.UTF-8", **({"KCARE_ROOT": str(root)} if root else {}), **(env or {})}
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    begin = time.monotonic()
    done = subprocess.run([*prefix, path, *map(str, args)], env=environment, capture_output=True, text=True, timeout=timeout,
                          check=False, **options)
    result = lab.Result([program, *args], done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
    assert "Sanitizer" not in result.err and "runtime error:" not in result.err, result
    return result


def running_kernel_id():
    return hashlib.sha1(pathlib.Path("/proc/version").read_bytes()).hexdigest()


@dataclass
class Sample:
    """One line for sample_patches."""

    kind: str  # "kernel" or "user"
    target: str
    level: int
    type: str = "default"
    first: str = ""  # kernel: its release; user: PACKAGE=VERSION
    second: str = ""  # kernel: the effective version; user: the soname
    cves: tuple = ()

    def line(self, out, patchset):
        return " ".join([str(out), self.kind, self.target, self.type, str(self.level), patchset, self.first, self.second,
                         *self.cves])


def kernel_patch(level, target=None, type="default", release=None, effective=None, cves=()):
    release = release or os.uname().release
    return Sample("kernel", target or running_kernel_id(), level, type, release, effective or f"{release}-fixed{level}", cves)


def user_patch(level, build_id, type="default", package="libssl3=3.0.17-1~deb12u2", soname="libssl.so.3", cves=()):
    return Sample("user", build_id, level, type, package, soname, cves)


class Publisher:
    """An author and a repository. `author`: a folder that has the author's keys already."""

    def __init__(self, build, folder, author=None):
        self.build, self.folder = pathlib.Path(build), pathlib.Path(folder)
        self.author, self.offline = author or self.folder / "author", self.folder / "offline"
        self.repository = self.folder / "repository"
        self.public = self.repository / "public"
        if not author:
            self.must("kcare-build", "keygen", self.author)
        self.must("kcare-repo", "init", self.repository, "--keys", self.offline, "--author", self.author / "author.pub",
                  "--no-passphrase")
        self.root_json = self.offline / "root.json"

    def run(self, program, *args, **options):
        return run(self.build, program, *args, **options)

    def must(self, program, *args, **options):
        result = self.run(program, *args, **options)
        assert result.code == DONE, result
        return result

    def repo(self, command, *args, **options):
        """`kcare-repo COMMAND REPOSITORY …`, which must work."""
        return self.must("kcare-repo", command, self.repository, *args, **options)

    def patch_files(self, samples, name, size=0):
        """Patch files by sample_patches, in a folder of the patchset's name."""
        folder = self.folder / "patches" / name
        folder.mkdir(parents=True)
        lines = [s.line(folder / f"{s.kind}-{s.target[:12]}-{s.type}-{s.level}.kpatch", name) for s in samples]
        self.must("sample_patches", self.author / "author.key", size, input="\n".join(lines) + "\n", timeout=600)
        return sorted(folder.iterdir())

    def patchset(self, name, patches, type="default", released=None, distro="debian12", size=0):
        """The archive of a patchset; `patches` are patch files, or Samples to be made."""
        if patches and isinstance(patches[0], Sample):
            patches = self.patch_files(patches, name, size)
        archive = self.folder / f"{name}.tar.bz2"
        extra = ["--released", released] if released else []
        self.must("kcare-build", "patchset", name, *patches, "--type", type, *extra, "--distro", distro, "--key",
                  self.author / "author.key", "-o", archive, timeout=600)
        return archive

    def deploy(self, archive, feed="main", *args):
        return self.repo("deploy", archive, "--feed", feed, *args, timeout=600)


class Host:
    """A host with a root folder of its own that follows a repository."""

    def __init__(self, build, root, publisher=None, url=None, **configuration):
        self.build, self.root = pathlib.Path(build), pathlib.Path(root)
        self.etc = self.root / "etc/sysconfig/kcare"
        self.etc.mkdir(parents=True)
        self.cache = self.root / "var/cache/kcare"
        if publisher:
            (self.etc / "keys").mkdir()
            shutil.copy(publisher.author / "author.pub", self.etc / "keys")
            shutil.copy(publisher.root_json, self.etc / "root.json")
        self.configure(**({"PATCH_SERVER": url} if url else {}), **configuration)

    def configure(self, **values):
        """Sets keys of kcare.conf; None removes one."""
        path = self.etc / "kcare.conf"
        lines = path.read_text().splitlines() if path.exists() else []
        lines = [line for line in lines if line.split("=")[0] not in values]
        path.write_text("".join(f"{line}\n" for line in
                                lines + [f"{key}={value}" for key, value in values.items() if value is not None]))

    def run(self, program, *args, **options):
        return run(self.build, program, *args, root=self.root, **options)

    def kcarectl(self, *args, **options):
        return self.run("kcarectl", *args, **options)
