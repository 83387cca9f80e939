# SPDX-License-Identifier: GPL-2.0-or-later
"""The world outside of a guest with a network: what tests/vm/conductor.py does there when a test says so.

    outside.repo("deploy", outside.kernel_patchset("K20261123_01", "mark-1"), "--feed", "main").ok()
    outside.kill_server()
    outside.host("--userspace-update").ok()   # kcarectl of another host, whose only process is vulnerable
"""
import json
import os
import urllib.request

import lab

LIMIT_S = 240  # a patch for a package may have to be built from a source that is not here yet


class Problem(AssertionError):
    """What went wrong outside; its text is the conductor's traceback."""


class Outside:
    """Each method is a method of the conductor."""

    def __init__(self):
        self.url = os.environ["KCARE_VM_OUTSIDE"]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __getattr__(self, name):
        return lambda *args, **options: self.call(name, list(map(str, args)), options)

    def call(self, name, args, options):
        body = json.dumps({"args": args, "options": options}).encode()
        with self.opener.open(urllib.request.Request(f"{self.url}/{name}", body), timeout=LIMIT_S) as answer:
            said = json.load(answer)
        if "problem" in said:
            raise Problem(said["problem"])
        gave = said["gave"]
        return lab.Result(**gave) if isinstance(gave, dict) and "code" in gave else gave
