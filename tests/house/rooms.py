#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the house, checked on the sources:

- a room includes only rooms above it in the table of docs/architecture.md that it names, directly or through one
  that it names;
- every source file carries an SPDX line;
- nothing refers to folders outside the repository.

Prints TAP, one line for each rule.
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]


def read_rooms():
    """{room: the rooms it names}, in the order of the table."""
    rooms = {}
    table = (TOP / "docs/architecture.md").read_text().split("## Rooms")[-1].split("\n## ")[0]
    for line in table.splitlines():
        row = re.match(r"\| `([a-z/]+)/` \|.*\| ([^|]*) \|$", line)
        if row:
            uses = re.findall(r"`([a-z/]+)/`", row[2])
            rooms[row[1]] = list(rooms) if row[2].strip() == "all" else uses
    return rooms


def reachable(rooms, room):
    found, todo = set(), [room]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            todo += rooms.get(current, [])
    return found


def room_of(rooms, path):
    names = [r for r in rooms if path.startswith(r + "/")]
    return max(names, key=len) if names else None


def check_includes():
    rooms = read_rooms()
    order, wrong = list(rooms), [] if rooms else ["docs/architecture.md: no table of rooms found"]
    for room, uses in rooms.items():
        for used in uses:
            if used not in rooms or order.index(used) >= order.index(room):
                wrong.append(f"docs/architecture.md: {room}/ names {used}/, which is not above it")
    for path in sorted((TOP / "src").rglob("*.[ch]")):
        name = str(path.relative_to(TOP / "src"))
        room = room_of(rooms, name)
        if not room:
            wrong.append(f"src/{name}: this room is not in docs/architecture.md")
            continue
        allowed = reachable(rooms, room)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            target = include and room_of(rooms, include[1])
            if include and target not in allowed:
                wrong.append(f"src/{name}:{number}: {room}/ may not include {include[1]}")
    return wrong


def tracked_files():
    out = subprocess.run(["git", "-C", str(TOP), "ls-files"], capture_output=True, text=True, check=True).stdout
    return [TOP / f for f in out.splitlines()]


def check_spdx():
    kinds = {".c", ".h", ".cc", ".py", ".sh", ".build", ".scd", ".service"}
    wrong = []
    for path in tracked_files():
        if path.exists() and (path.suffix in kinds or path.name == "Makefile"):
            if "SPDX-License-Identifier: GPL-2.0" not in path.read_text()[:400]:
                wrong.append(f"{path.relative_to(TOP)}: no SPDX line")
    return wrong


def check_self_contained():
    """The project stands alone: its users have no ../shared."""
    outside, wrong = re.compile(r"(\.\./|/work/)shared\b"), []
    for path in tracked_files():
        if path.exists() and path != pathlib.Path(__file__).resolve():
            if outside.search(path.read_text(errors="replace")):
                wrong.append(f"{path.relative_to(TOP)}: refers to a folder outside the repository")
    return wrong


def report(rules):
    """Checks (title, function) each; the exit code. A function returns lines that say what is wrong."""
    failed = 0
    print(f"1..{len(rules)}")
    for number, (title, check) in enumerate(rules, 1):
        wrong = check()
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {title}")
        for line in wrong:
            print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(report([("rooms include only what they may", check_includes), ("every source has an SPDX line", check_spdx),
                     ("nothing refers outside the repository", check_self_contained)]))
