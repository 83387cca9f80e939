# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest runs on: a root file system made of this host's own programs and Python, and the first file system.

The guest mounts the root read-only under an overlay in memory: every boot starts from the same state.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

import kernels
from cache import TOP, Failure, Lock, call, digest, drop_unused, say

PROGRAMS = ["bash", "python3", "kmod", "mount", "umount", "unshare", "nsenter", "setpriv", "dmesg", "strace"]
KMOD_NAMES = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"]
PYTHON_MODULES = ["pytest", "_pytest", "pluggy", "iniconfig", "packaging", "attr", "attrs", "exceptiongroup", "tomli",
                  "py", "pygments"]
PYTHON_SKIP = {"test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo", "distutils", "pydoc_data"}
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
FOLDERS = ["dev", "proc", "sys", "run", "tmp", "root", "kcare", "etc", "var/cache", "var/lib", "mnt", "usr/lib/modules"]
FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
         "etc/group": "root:x:0:\nnogroup:x:65534:\n", "etc/hostname": "guest\n", "etc/hosts": "127.0.0.1 localhost\n10.0.2.2 host\n",
         "etc/machine-id": "5ca1ab1e0ddba11ca11ab1ebeefcafe5\n",
         "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12"\n'}


def libraries(program):
    """Paths of the shared libraries that the loader finds for a program; none for a static one."""
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def place(path):
    """Where a host file goes in the root: /lib is usr/lib there too."""
    first, _, rest = path.lstrip("/").partition("/")
    return f"{LINKS.get(first, first)}/{rest}"


def system_python():
    return os.path.realpath("/usr/bin/python3")


def root_files():
    """{place in the root: host path}"""
    sources = {}
    for name in PROGRAMS:
        path = system_python() if name == "python3" else shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
        if not path:
            raise Failure(f"{name} is not installed; `make deps` installs what is needed")
        sources[f"usr/bin/{name}"] = path
    sources |= {f"usr/sbin/{name}": sources["usr/bin/kmod"] for name in KMOD_NAMES}
    stdlib = pathlib.Path("/usr/lib") / os.path.basename(system_python())
    for path in python_files(stdlib):
        sources[str(path).lstrip("/")] = str(path)
    for name in PYTHON_MODULES:
        for path in (pathlib.Path("/usr/lib/python3/dist-packages") / name, pathlib.Path(f"/usr/lib/python3/dist-packages/{name}.py")):
            for file in python_files(path) if path.is_dir() else [path] if path.is_file() else []:
                sources[str(file).lstrip("/")] = str(file)
    for path in sorted(set(sources.values())):
        if path.endswith(".so") or "/bin/" in path or "/sbin/" in path:
            sources |= {place(library): library for library in libraries(path)}
    return sources


def python_files(folder):
    for path, subdirs, names in os.walk(folder):
        subdirs[:] = sorted(name for name in subdirs if name not in PYTHON_SKIP and name != "dist-packages")
        yield from (pathlib.Path(path) / name for name in sorted(names))


class Root:
    """The image of the root file system."""

    def __init__(self, cache):
        self.files = root_files()
        stamps = [(where, path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for where, path in self.files.items()]
        self.image = cache / f"root-{digest(sorted(stamps), FILES, LINKS, FOLDERS)}.img"
        with Lock(cache / "root.lock"):
            if not self.image.exists():
                self.make(cache)
            self.image.touch()
            drop_unused(cache.glob("root-*.img"))

    def make(self, cache):
        say("making the guests' root file system")
        with tempfile.TemporaryDirectory(prefix=".root-", dir=cache) as work:
            root = pathlib.Path(work) / "root"
            for name in [*FOLDERS, *LINKS.values()]:
                (root / name).mkdir(parents=True, exist_ok=True)
            for name, target in LINKS.items():
                (root / name).symlink_to(target)
            for where, path in self.files.items():
                (root / where).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, root / where)
            for where, text in FILES.items():
                (root / where).write_text(text)
            add_busybox(root / "usr/bin")
            kernels.make_ext4(root, pathlib.Path(work) / "root.img")
            (pathlib.Path(work) / "root.img").rename(self.image)


def systemd_files():
    """{place: host path} of what a boot with systemd needs beside the root."""
    units = pathlib.Path("/usr/lib/systemd/system")
    paths = ["/usr/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/systemd-run",
             *(units / f"{name}.target" for name in ("basic", "sysinit", "shutdown"))]
    return {str(path).lstrip("/"): str(path) for path in paths}


def add_busybox(folder):
    """Everything that the root has not got otherwise."""
    busybox = find_busybox()
    shutil.copy2(busybox, folder / "busybox")
    for name in call([busybox, "--list"]).split():
        if not (folder / name).exists() and not (folder.parent / "sbin" / name).exists():
            (folder / name).symlink_to("busybox")


def find_busybox():
    path = shutil.which("busybox")
    if not path or libraries(path):
        raise Failure("busybox-static is not installed; `make deps` installs what is needed")
    return path


def make_initrd(kernel, path):
    """busybox, the script `init`, and the modules that lead to the root file system."""
    with tempfile.TemporaryDirectory(prefix="kcare-initrd-") as work:
        work = pathlib.Path(work)
        for name in ("dev", "proc", "sys", "lower", "upper", "root", "bin"):
            (work / name).mkdir()
        shutil.copy2(find_busybox(), work / "bin/busybox")
        shutil.copy2(TOP / "tests/vm/init", work / "init")
        shutil.copytree(kernel.boot, work / "modules")
        names = "\n".join(str(file.relative_to(work)) for file in sorted(work.rglob("*")))
        with open(path, "wb") as out:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=work, input=names.encode(), stdout=out,
                           check=True)


def make_share(root, files, path):
    """A tar that the guest unpacks over its root: {place: host path}, with libraries that the root has not got."""
    wanted = dict(files)
    for host_path in files.values():
        if os.access(host_path, os.X_OK):
            wanted |= {place(library): library for library in libraries(host_path) if place(library) not in root.files}
    with tarfile.open(path, "w", dereference=True) as tar:
        for where, host_path in sorted(wanted.items()):
            tar.add(host_path, where, filter=owned_by_root)


def owned_by_root(entry):
    entry.uid = entry.gid = 0
    return entry
