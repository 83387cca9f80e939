#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the house, checked on what people read:

- every relative link of README.md and docs/ leads somewhere, also to the heading behind its '#';
- every test that a page names exists: test_x.py: `test_a`, `test_b`;
- every program that is installed for people is in the NAME section of a manual page, every manual page is installed, and
  those that it refers to exist.

Prints TAP, one line for each rule.
"""
import re
import sys

from rooms import TOP, report

PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
MANUALS = sorted((TOP / "man").glob("*.scd"))


def anchors(page):
    """As web pages that show Markdown name headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links():
    wrong = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if re.match(r"[a-z]+:", link):
                continue
            if not target.exists():
                wrong.append(f"{page.relative_to(TOP)}: there is no {link}")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{page.relative_to(TOP)}: {link}: there is no such heading")
    return wrong


def check_tests():
    wrong = []
    for page in PAGES:
        for file, names in re.findall(r"\b(test_\w+\.(?:c|py)): ((?:`\w+`(?:, )?)+)", page.read_text()):
            text = "".join(path.read_text() for path in (TOP / "tests").rglob(file))
            wrong += [f"{page.relative_to(TOP)}: {file} has no {name}" for name in re.findall(r"`(\w+)`", names)
                      if not re.search(rf"^(static void|def) {name}\(", text, re.M)]
    return wrong


def check_manuals():
    described, wrong = set(), []
    installed = (TOP / "man/meson.build").read_text()
    for manual in MANUALS:
        text, page = manual.read_text(), manual.stem
        described |= set(re.search(r"^# NAME\n\n(.*) - ", text, re.M)[1].split(", "))
        if f"'{page}'" not in installed:
            wrong.append(f"man/meson.build does not install {page}")
        wrong += [f"man/{manual.name}: there is no {name}({section})" for name, section in re.findall(r"\*([\w.-]+)\*\((\d)\)", text)
                  if re.match("kcare|libcare", name) and not (TOP / f"man/{name}.{section}.scd").exists()]
    build = (TOP / "src/cmd/meson.build").read_text()
    programs = [name for name, rest in re.findall(r"^executable\('([\w-]+)',(.*?install: true.*?)\)$", build, re.M | re.S)
                if "libexecdir" not in rest]
    programs += re.findall(r"^install_symlink\('([\w-]+)'", build, re.M)
    return wrong + [f"{program}: in no manual page" for program in programs if program not in described]


if __name__ == "__main__":
    sys.exit(report([("links lead somewhere", check_links), ("tests that are named exist", check_tests),
                     ("programs have manual pages", check_manuals)]))
