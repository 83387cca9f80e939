# SPDX-License-Identifier: GPL-2.0-or-later
"""How `make demo` shows what it does: each command as one types it, and what it really said."""
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
BOLD, GREEN, RED, RESET = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
LINES_SHOWN = 10
BUSY = 4  # an exit code of kcarectl: try again


class Failure(Exception):
    """What ends the demo; said in one line."""


def say(text=""):
    print(text, flush=True)


def step(text):
    say(f"\n{BOLD}{text}{RESET}")


def verdict(is_open, what, otherwise):
    say(f"  {RED}VULNERABLE: {what}{RESET}" if is_open else f"  {GREEN}fixed: {otherwise}{RESET}")


def trimmed(text, lines=LINES_SHOWN):
    """The first lines of an output, and how many more there were."""
    whole = text.rstrip().splitlines()
    return "\n".join(whole[:lines] + ([f"… {len(whole) - lines} more lines"] if len(whole) > lines else []))


class Shell:
    """Where somebody types commands: a prompt that says who, a folder, an environment."""

    def __init__(self, prompt, folder, **environment):
        self.prompt, self.folder = prompt, folder
        self.environment = os.environ | {"LC_ALL": "C.UTF-8"} | {name: str(value) for name, value in environment.items()}

    def show(self, line, lines=LINES_SHOWN):
        """Runs it, and gives what it said, of which so many lines are shown. A command that fails ends the demo."""
        for last_try in (False, True):
            say(f"{self.prompt} {line}")
            code, output = self.run(line)
            if output.strip() and (lines or code):
                say(trimmed(output, sys.maxsize if code else lines))
            if code != BUSY or last_try:
                break
        if code != 0:
            raise Failure(f"'{line}' ended with code {code}")
        return output

    def run(self, line):
        """(exit code, what it said)"""
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def watch(self, line):
        """As show(), for what takes long: its progress goes to the terminal."""
        say(f"{self.prompt} {line}")
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise Failure(f"'{line}' ended with code {done.returncode}")

    def start(self, line):
        """In the background; what it says is in the file that the line names."""
        say(f"{self.prompt} {line} &")
        return subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)
