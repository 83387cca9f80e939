# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian kernels to boot: which ones the archive has today, and their images, unpacked once into the cache.

A kernel is named by series, age and flavour, "6.1 oldest amd64": the oldest is the oldest whose sources the archive
still has. Building patches is not done from here: kcare-build has a cache of its own.
"""
import functools
import importlib.machinery
import importlib.util
import lzma
import os
import pathlib
import re
import shutil
import tempfile

from cache import TOP, Failure, Lock, call, digest, say

# What the first file system needs; dependencies are found, and what is built in is left out.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "ext4", "overlay", "crc32c_generic", "crc32c_intel"]


@functools.cache
def derive_fix():
    """tools/derive-fix knows how to ask the archive."""
    loader = importlib.machinery.SourceFileLoader("derive_fix", str(TOP / "tools/derive-fix"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("derive_fix", loader))
    loader.exec_module(module)
    return module


@functools.cache
def archive():
    made = derive_fix().Archive(derive_fix().cache_dir())
    made.lock.close()  # the lists are there; derive-fix itself wants the lock too
    return made


def apt(*args, **options):
    return call(["apt-get" if args[0] in ("download", "source") else "apt-cache", *args], env=archive().environment,
                **options)


@functools.cache
def versions(package):
    return archive().versions(package, False)


@functools.cache
def releases(series, flavour):
    """Releases of a series and a flavour with their sources in the archive, oldest first: [(release, version)]."""
    pattern = rf"linux-image-({re.escape(series)}\.[0-9.]+[^ ]*-{flavour})$"
    found = []
    for name in apt("pkgnames", f"linux-image-{series}.").split():
        match = re.match(pattern, name)
        if match and "unsigned" not in name and re.sub(r".*[0-9]-", "", match[1]) == flavour:
            found += [(match[1], version) for version in versions(name) if version in versions(f"linux-source-{series}")]
    order = functools.cmp_to_key(derive_fix().compare_versions)
    return sorted(found, key=lambda pair: order(pair[1]))


def resolve(name, cache):
    """("6.1.0-47-amd64", "6.1.170-3") for "6.1 oldest amd64"; a release as such for itself.

    Without the archive, what it said last time."""
    words = name.split()
    if len(words) == 1:
        return name, None
    known = cache / f"resolved-{'-'.join(words)}"
    try:
        found = find(*words)
    except derive_fix().Failure as problem:
        if not known.exists():
            raise Failure(f"the archive cannot be asked for a kernel {name}: {problem}") from problem
        say(f"the archive cannot be asked; using the kernel {name} of last time")
        return tuple(known.read_text().split())
    part = known.with_suffix(f".{os.getpid()}")
    part.write_text(" ".join(found))
    part.replace(known)
    return found


def find(series, age, flavour):
    found = releases(series, flavour)
    if not found:
        raise Failure(f"the archive has no kernel {series} {flavour} whose sources it has too")
    return found[{"oldest": 0, "newest": -1}[age]]


def derived_fix(cache, name, what=None):
    """The path of a fix that tools/derive-fix knows, or derives from `what`: package, file, function."""
    if what is None:
        call([TOP / "tools/derive-fix", name])
        return derive_fix().cache_dir() / f"{name}.patch"
    words = [word for field in ("package", "file", "function") if field in what for word in (f"--{field}", what[field])]
    path = cache / "fixes" / f"{name}-{digest(*words)}.patch"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        text = call([TOP / "tools/derive-fix", "--name", name, *words])
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(text)
        part.replace(path)
    return path


class Kernel:
    """A kernel's files in the cache: vmlinuz, modules.img, boot/ (modules that the first file system needs)."""

    def __init__(self, cache, release, version):
        self.release, self.folder = release, cache / "kernel" / release
        with Lock(cache / f"kernel-{release}.lock"):
            if not self.folder.exists():
                try:
                    self.make(cache, version)
                except derive_fix().Failure as problem:
                    raise Failure(f"the kernel {release} cannot be fetched: {problem}") from problem
        self.image, self.modules, self.boot = (self.folder / name for name in ("vmlinuz", "modules.img", "boot"))

    def make(self, cache, version):
        say(f"fetching the kernel {self.release}")
        with tempfile.TemporaryDirectory(prefix=f".kernel-{self.release}-", dir=cache) as work:
            work = pathlib.Path(work)
            package = f"linux-image-{self.release}"
            apt("download", "-q", f"{package}={version}" if version else package, cwd=work)
            call(["dpkg-deb", "-x", next(work.glob("*.deb")), work / "image"])
            part = work / "part"
            (part / "boot").mkdir(parents=True)
            shutil.move(work / f"image/boot/vmlinuz-{self.release}", part / "vmlinuz")
            call(["depmod", "-b", work / "image", self.release])
            modules = work / "image/lib/modules"
            copy_boot_modules(modules / self.release, part / "boot")
            make_ext4(modules, part / "modules.img")
            self.folder.parent.mkdir(exist_ok=True)
            part.rename(self.folder)


def copy_boot_modules(folder, target):
    """Uncompressed and in the order in which they are loaded: 00-virtio.ko, …"""
    needs, paths = {}, {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, rest = line.split(":")
        name = module_name(path)
        paths[name], needs[name] = path, [module_name(need) for need in rest.split()]
    order = []
    for wanted in BOOT_MODULES:
        for name in [*reversed(needs.get(wanted, [])), wanted]:
            if name in paths and name not in order:
                order.append(name)
    for i, name in enumerate(order):
        data = (folder / paths[name]).read_bytes()
        data = lzma.decompress(data) if paths[name].endswith(".xz") else data
        (target / f"{i:02}-{name}.ko").write_bytes(data)


def module_name(path):
    return os.path.basename(path).split(".")[0].replace("-", "_")


def make_ext4(folder, image):
    """An image that just holds the folder, owned by root; read-only, so no journal."""
    used = int(call(["du", "-sk", "--apparent-size", folder]).split()[0])
    files = sum(len(names) + len(subdirs) for _, subdirs, names in os.walk(folder))
    blocks = used + used // 12 + files * 5 + 4096
    call(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", str(files + files // 8 + 256), "-E",
          "root_owner=0:0", "-d", folder, image, f"{blocks}k"])
