# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scenarios work with: targets that are compiled here, patches that kcare-build makes, processes that live.

A scenario compiles a target, makes a patch file from an edit of its source, starts the target, and talks to it while
`libcare-ctl` patches it. Nothing here knows how kcare works inside; only text_changes() looks at the process's memory,
to tell whether every function is wholly old or wholly new.
"""

import difflib
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

TARGETS = pathlib.Path(__file__).resolve().parent.parent / "targets"

DONE, FAILED, USAGE, NOTHING, BUSY, REFUSED, INPUT, LOCKED, NETWORK = range(9)
EXIT_NAMES = ["done", "failed", "usage", "nothing", "busy", "refused", "input", "locked", "network"]


def wait_until(condition, seconds=10.0, what="condition"):
    """Waits until `condition()` is true; fails by name when it does not become so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.005)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# ---------------------------------------------------------------------------------------------------------------- kcare


@dataclass
class Result:
    """What a run of a kcare program gave."""

    command: list
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self):
        name = EXIT_NAMES[self.code] if 0 <= self.code < len(EXIT_NAMES) else "?"
        return f"$ {' '.join(map(str, self.command))}\n{self.out}{self.err}exit {self.code} ({name})"


class Kcare:
    """The programs in a build folder, with a root folder of their own in which one author key is trusted."""

    def __init__(self, build, root, cache):
        self.bin = find_programs(pathlib.Path(build))
        self.root = pathlib.Path(root)
        self.keys = self.root / "author"
        self.keys.mkdir(parents=True)
        self.environment = dict(os.environ, KCARE_ROOT=str(self.root), LC_ALL="C.UTF-8",
                                KCARE_BUILD_CACHE=str(pathlib.Path(cache) / "build"))
        for name in ("LD_LIBRARY_PATH", "LD_PRELOAD"):
            self.environment.pop(name, None)
        made = self.build("keygen", self.keys)
        assert made.code == DONE, made
        self.key = next(self.keys.glob("*.key"))
        self.public = next(self.keys.glob("*.pub"))
        trusted = self.root / "etc/sysconfig/kcare/keys"
        trusted.mkdir(parents=True)
        shutil.copy(self.public, trusted)

    def run(self, program, *args, timeout=90, prefix=()):
        command = [*map(str, prefix), str(self.bin[program]), *map(str, args)]
        begin = time.monotonic()
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        result = Result(command, done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
        assert "Sanitizer" not in result.err and "runtime error:" not in result.err, result
        assert prefix or 0 <= result.code <= NETWORK, f"died or unknown exit code: {result}"
        return result

    def ctl(self, *args, **options):
        return self.run("libcare-ctl", *args, **options)

    def build(self, *args, **options):
        return self.run("kcare-build", *args, timeout=options.pop("timeout", 600), **options)

    def start_server(self, folder, log):
        return subprocess.Popen(
            [str(self.bin["libcare-ctl"]), "server", str(folder)],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )

    def patch(self, target, *files, code=DONE, wait=None):
        """`libcare-ctl patch`, which must end with `code`."""
        extra = [] if wait is None else ["--wait", wait]
        source = files[0] if len(files) == 1 else folder_of(files, self.root)
        result = self.ctl("patch", "-p", pid_of(target), source, *extra)
        assert result.code == code, f"expected {EXIT_NAMES[code]}: {result}"
        return result

    def unpatch(self, target, *args, code=DONE, wait=None):
        extra = [] if wait is None else ["--wait", wait]
        result = self.ctl("unpatch", "-p", pid_of(target), *args, *extra)
        assert result.code == code, f"expected {EXIT_NAMES[code]}: {result}"
        return result

    def info(self, target):
        """The JSON object of `libcare-ctl info` for one process; {} when it is not listed."""
        result = self.ctl("info", "-p", pid_of(target), "-j")
        assert result.code in (DONE, NOTHING), result
        lines = [json.loads(line) for line in result.out.splitlines() if line.strip()]
        return next((entry for entry in lines if entry["pid"] == pid_of(target)), {})


def find_programs(build):
    found = {}
    for name in ("libcare-ctl", "kcare-build"):
        for folder in (build, build / "src" / "cmd", build / "src", build / "bin"):
            if (folder / name).is_file():
                found[name] = folder / name
                break
        else:
            raise FileNotFoundError(f"no {name} in {build}: set KCARE_BUILD_DIR to a meson build folder")
    return found


def pid_of(target):
    return target if isinstance(target, int) else target.pid


def folder_of(files, root):
    """A folder that holds just these patch files."""
    name = hashlib.sha256("".join(map(str, files)).encode()).hexdigest()[:12]
    folder = root / "folders" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"{number}.kpatch")
    return folder


# -------------------------------------------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Variant:
    """How a target is compiled and linked."""

    compile: tuple = ("-fPIE",)
    link: tuple = ("-pie",)
    library: tuple = ()  # more flags for the objects of libraries


VARIANTS = {
    "pie": Variant(),
    "non-pie": Variant(("-fno-pie",), ("-no-pie",)),
    "static-pie": Variant(("-fPIE",), ("-static-pie",)),
    "static": Variant(("-fno-pie",), ("-static",)),
    "cet": Variant(("-fPIE", "-fcf-protection=full"), ("-pie",), ("-fcf-protection=full",)),
    "o3": Variant(("-fPIE", "-O3"), ("-pie",), ("-O3",)),
    "now": Variant(("-fPIE", "-fno-plt"), ("-pie", "-Wl,-z,relro,-z,now"), ("-fno-plt",)),
    "local-dynamic": Variant(library=("-ftls-model=local-dynamic",)),
    "initial-exec": Variant(library=("-ftls-model=initial-exec",)),
}


@dataclass(frozen=True)
class Recipe:
    """What a target consists of: sources of the program and of its libraries."""

    program: tuple
    libraries: dict = field(default_factory=dict)  # soname: sources
    linked: tuple = ()  # sonames that the program is linked with; the others are opened with dlopen()
    link: tuple = ()
    flags: dict = field(default_factory=dict)  # source: more flags

    def __hash__(self):
        return hash(self.program)


RECIPES = {
    "content": Recipe(("content.c", "content_main.c", "loop.c"), link=("-Wl,--no-as-needed", "-lm")),
    "content-library": Recipe(
        ("content_main.c", "loop.c"), {"libcontent.so.1": ("content.c",)}, ("libcontent.so.1",),
        ("-Wl,--no-as-needed", "-lm"),
    ),
    "worker": Recipe(
        ("worker.c", "value.c", "hold.c", "hold_main.c", "crowd.c", "waits.c", "confine.c", "life.c", "loop.c"),
        {"libone.so.1": ("one.c",), "libtwo.so.1": ("two.c",)}, ("libone.so.1",), ("-rdynamic",),
        # Functions without gaps: what lies behind the last call of one is another function.
        {"hold.c": ("-falign-functions=1",)},
    ),
    "cxx": Recipe(("cxx.cc", "cxx_main.cc", "loop.c")),
    "cxx-library": Recipe(("cxx_main.cc", "loop.c"), {"libcxx.so.1": ("cxx.cc",)}, ("libcxx.so.1",)),
    "gaps": Recipe(("gaps.c", "gaps_call.c", "loop.c"), flags={"gaps_call.c": ("-falign-functions=64",)}),
}


class Build:
    """A compiled target: sources, compile_commands.json, linked files with symbols, and the stripped ones that run."""

    def __init__(self, name, variant, folder):
        self.name, self.recipe, self.variant = name, RECIPES[name], VARIANTS[variant]
        self.folder = pathlib.Path(folder)
        self.source = self.folder / "source"
        self.commands = self.folder / "compile_commands.json"
        self.full, self.run = self.folder / "full", self.folder / "run"
        self.database = []
        for path in (self.source, self.full, self.run, self.folder / "objects"):
            path.mkdir(parents=True)
        for path in TARGETS.glob("*.[ch]*"):
            shutil.copy(path, self.source)
        self.link_all()
        self.commands.write_text(json.dumps(self.database, indent=1))

    def compile(self, source, more):
        compiler = "g++" if source.endswith(".cc") else "gcc"
        output = self.folder / "objects" / (source + ".o")
        arguments = [compiler, "-O2", "-g", "-Wall", "-D_GNU_SOURCE", *more, *self.recipe.flags.get(source, ()), "-c",
                     source, "-o", str(output)]
        call(arguments, self.source)
        entry = {"directory": str(self.source), "file": source, "arguments": arguments, "output": str(output)}
        self.database.append(entry)
        return str(output)

    def link(self, name, objects, flags):
        compiler = "g++" if "cxx" in self.name else "gcc"
        full = self.full / name
        call([compiler, *objects, *flags, "-Wl,--build-id=sha1", "-o", str(full)], self.folder)
        call(["strip", "--strip-all", "-o", str(self.run / name), str(full)], self.folder)

    def link_all(self):
        for soname, sources in self.recipe.libraries.items():
            objects = [self.compile(source, ("-fPIC", *self.variant.library)) for source in sources]
            # A library may call back into the program: undefined symbols are fine.
            self.link(soname, objects, ("-shared", f"-Wl,-soname,{soname}", *self.recipe.link))
        objects = [self.compile(source, self.variant.compile) for source in self.recipe.program]
        libraries = [str(self.full / soname) for soname in self.recipe.linked]
        rpath = ("-Wl,-rpath,$ORIGIN",) if libraries else ()
        self.link("program", objects, (*self.variant.link, *libraries, *rpath, "-pthread", *self.recipe.link))

    @property
    def program(self):
        return self.run / "program"

    def symbols(self, elf):
        """Address and size of each function, from the copy that is not stripped."""
        found = {}
        for line in call(["nm", "-S", "--defined-only", str(self.full / elf)], self.folder).splitlines():
            words = line.split()
            if len(words) == 4 and words[2] in "tTwWi":
                found[words[3]] = (int(words[0], 16), int(words[1], 16))
        return found


def call(arguments, folder):
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Fix:
    """An edit of a target's source, which becomes a unified diff with a header."""

    edits: tuple  # (file, old text, new text) each
    cve: str = "CVE-2026-10001"
    name: str = "scenario fix"
    header: str = ""  # more lines

    def text(self, source):
        changed = {}
        for name, old, new in self.edits:
            content = changed.get(name) or (source / name).read_text()
            assert content.count(old) == 1, f"{name}: {content.count(old)} places match {old!r}"
            changed[name] = content.replace(old, new)
        header = f"Name: {self.name}\nDescription: {self.name}\nCVE: {self.cve}\nCVSS: 7.5\n"
        header += f"CVE-URL: https://security-tracker.debian.org/tracker/{self.cve}\nLicense: GPL-2.0-or-later\n"
        text = header + self.header + "\n"
        for name, content in changed.items():
            before = (source / name).read_text().splitlines(keepends=True)
            text += "".join(difflib.unified_diff(before, content.splitlines(keepends=True), f"a/{name}", f"b/{name}"))
        return text


def edit(file, old, new, **options):
    """A fix with one edit."""
    return Fix(((file, old, new),), **options)


class PatchMaker:
    """Makes patch files with `kcare-build user --elf`; the same content is made once."""

    def __init__(self, kcare, folder):
        self.kcare, self.folder, self.made = kcare, pathlib.Path(folder), {}

    def try_make(self, build, fixes, elf="program", level=1, patchset="U20261123_01", extra=()):
        """The result and the patch files: made anew each time."""
        fixes = (fixes,) if isinstance(fixes, Fix) else tuple(fixes)
        place = self.folder / f"{len(list(self.folder.iterdir())):03d}-{build.name}"
        place.mkdir(parents=True)
        arguments = ["user", "--elf", build.run / elf, "--source", build.source, "--commands", build.commands]
        for number, fix in enumerate(fixes):
            path = place / f"{number}.patch"
            path.write_text(fix.text(build.source))
            arguments += ["--fix", path]
        arguments += ["--level", level, "--patchset", patchset, "--key", self.kcare.key, "-o", place / "out", *extra]
        result = self.kcare.build(*arguments)
        return result, sorted((place / "out").glob("*.kpatch"))

    def __call__(self, build, fixes, elf="program", level=1, patchset="U20261123_01", extra=()):
        key = (id(build), fixes if isinstance(fixes, Fix) else tuple(fixes), elf, level, patchset, tuple(extra))
        if key not in self.made:
            result, files = self.try_make(build, fixes, elf, level, patchset, extra)
            assert result.code == DONE, result
            assert len(files) == 1, f"one patch file expected, not {files}: {result}"
            self.made[key] = files[0]
        return self.made[key]


# ------------------------------------------------------------------------------------------------------------ processes


class Namespace:
    """A pid namespace of its own: what is done to "all" processes meets only those that the test started."""

    def __init__(self):
        self.init = subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", "sleep", "infinity"],
                                     stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: children_of(self.init.pid), what="the namespace is there")
        pid = children_of(self.init.pid)[0]
        wait_until(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "sleep", what="its init runs")
        self.prefix = ["nsenter", "--target", str(pid), "--pid", "--mount"]
        self.pid = pid

    @staticmethod
    def pid_inside(target):
        with open(f"/proc/{target.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[-1]) for line in status if line.startswith("NSpid:"))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)  # and with it all that is inside
        self.init.wait(20)


class TargetDied(AssertionError):
    """The target ended: the worst that a patcher can do."""


class Target:
    """A running target that answers commands."""

    def __init__(self, command, environment=None, inner=False):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
            env=dict(os.environ, **(environment or {})),
        )
        self.buffer = b""
        self.may_end = False
        line = self.line(20)
        assert line == "ready", f"{self.command}: {line!r} instead of ready"
        self.pid = innermost(self.process.pid) if inner else self.process.pid

    def line(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{self.command[0]}: no answer within {timeout} s, state {self.state()}")
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise TargetDied(f"{self.command[0]} ended: {self.end_of()}")
                self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def end_of(self):
        code = self.process.wait(10)
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def send(self, command):
        try:
            os.write(self.process.stdin.fileno(), command.encode() + b"\n")
        except BrokenPipeError:
            raise TargetDied(f"{self.command[0]} ended: {self.end_of()}") from None

    def ask(self, command, timeout=20):
        self.send(command)
        answer = self.line(timeout)
        assert re.fullmatch(r"-?\d+", answer), f"{command}: {answer}"
        return int(answer)

    def state(self):
        return process_state(getattr(self, "pid", self.process.pid))

    def alive(self):
        return self.process.poll() is None

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def close(self):
        """Ends the process and all that it started. Fails when it was dead or left stopped."""
        alive, state = self.alive(), self.state()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if self.pid != self.process.pid and os.path.exists(f"/proc/{self.pid}"):
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        code = self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()
        if not self.may_end:
            assert alive, f"{self.command[0]} did not survive the scenario: exit {code}"
            assert state not in "tT", f"{self.command[0]} was left stopped (state {state})"


def process_state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(word) for word in children.read().split()]


def innermost(pid):
    """Follows wrappers such as unshare(1), which wait for one child."""
    while children_of(pid):
        pid = children_of(pid)[0]
    return pid


def executable_maps(pid):
    """(start, end, offset in file, path) of each executable mapping."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            words = line.split(maxsplit=5)
            if "x" in words[1]:
                start, end = (int(word, 16) for word in words[0].split("-"))
                path = words[5].strip() if len(words) > 5 else ""
                found.append((start, end, int(words[2], 16), path))
    return found


def text_changes(pid, elf):
    """Where the executable code of `elf` in the process differs from the file: [(offset in file, old, new)]."""
    content = pathlib.Path(elf).read_bytes()
    changes = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, offset, path in executable_maps(pid):
            if path.removesuffix(" (deleted)") != str(elf):
                continue
            length = min(end - start, len(content) - offset)
            memory.seek(start)
            now, before = memory.read(length), content[offset:offset + length]
            changes += differences(offset, before, now)
    return changes


def differences(offset, before, now):
    """Runs of differing bytes; bytes closer than a jump belong together (a jump may equal the old code in places)."""
    if before == now:
        return []
    places = [i for i, (a, b) in enumerate(zip(before, now)) if a != b]
    runs, first = [], places[0]
    for here, following in zip(places, places[1:] + [None]):
        if following is None or following - here > 4:
            runs.append((offset + first, before[first:here + 1], now[first:here + 1]))
            first = following
    return runs


def assert_original(target, *elves):
    """Every byte of the code is the file's."""
    for elf in elves:
        changes = text_changes(pid_of(target), elf)
        assert not changes, f"{elf}: code differs from the file: {[(hex(o), a.hex(), b.hex()) for o, a, b in changes]}"


def assert_whole(target, build, elf="program"):
    """Every function of `elf` is wholly old or wholly new: each change is one whole jump to mapped code."""
    path = build.run / elf
    pid = pid_of(target)
    content = path.read_bytes()
    maps = executable_maps(pid)
    for start, end, file_offset, name in maps:
        if name.removesuffix(" (deleted)") != str(path):
            continue
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for offset, old, new in text_changes(pid, path):
                if not file_offset <= offset < file_offset + end - start:
                    continue
                assert is_jump_around(memory, start - file_offset, offset, content, maps), (
                    f"{name}+{offset:#x}: torn: {old.hex()} became {new.hex()}")


def is_jump_around(memory, base, offset, content, maps):
    """A change at `offset` is inside a five-byte jump that leads to executable memory outside the file's own text."""
    for entry in range(offset, offset - 5, -1):
        memory.seek(base + entry)
        code = memory.read(5)
        if code[0] != 0xE9 or content[entry:entry + 5] == code:
            continue
        goal = base + entry + 5 + int.from_bytes(code[1:], "little", signed=True)
        if any(start <= goal < end for start, end, _, _ in maps):
            return True
    return False


def children_of_all(pid):
    """Children of all threads of a process, zombies left out."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as children:
                found += [int(word) for word in children.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return [child for child in found if process_state(child) not in ("Z", "gone")]
