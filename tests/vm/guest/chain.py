# SPDX-License-Identifier: GPL-2.0-or-later
"""Two levels of a library fix and of a kernel fix, all of them real, and who follows: the guest with its kernel, and a host
outside with a process that uses libcrypto. Each does only what its timer or its boot does; all else is the publisher's. What
counts is which holes are open.
"""
import lab
import probes

KERNEL = {1: "K20261123_01", 2: "K20261124_01"}  # as in tests/vm/patches.toml
LIBRARY = {1: "U20261123_01", 2: "U20261124_01"}
FIRST_HOLE, SECOND_HOLE = "CVE-2026-45445", "CVE-2026-42766"
OPEN = {FIRST_HOLE: 1, SECOND_HOLE: 11}  # equal ciphertexts; SIGSEGV
LEVELS = {(True, True): None, (False, True): 1, (False, False): 2}


class Both:
    """The guest and the host outside. `server`: what both follow, as the conductor began it."""

    def __init__(self, outside, kcare, server, **configuration):
        self.outside, self.kcare = outside, kcare
        (lab.CONFIG.parent / "root.json").write_text(server["root"])
        settings = {"PATCH_SERVER": server["server"], **configuration}
        lab.CONFIG.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.questions = outside.start_host(**configuration)

    def do(self, product, command, what, feed):
        """Something with a patchset, or its archive, in a feed; `product` as kc.eportal names it."""
        raise NotImplementedError

    def publish(self, level, feed):
        """Makes the patchsets of a level, and deploys them."""
        cves = [FIRST_HOLE, SECOND_HOLE][:level]
        self.do("kcare", "deploy", self.outside.kernel_patchset(KERNEL[level], f"chain-{level}"), feed)
        self.do("libcare", "deploy", self.outside.user_patchset(LIBRARY[level], *cves, level=level), feed)

    def change(self, command, level, feed):
        """enable, disable or block."""
        self.do("kcare", command, KERNEL[level], feed)
        self.do("libcare", command, LIBRARY[level], feed)

    def timers(self):
        """What the timers of both run: (guest's, host's)."""
        return (self.kcare(*lab.unit_command("kcare-update.service")),
                self.outside.host(*lab.unit_command("libcare-update.service")))

    def check(self):
        return self.kcare("--check").code

    def levels(self):
        """(guest, host), told by their holes."""
        answers = {cve: self.outside.ask_host(question) for cve, question in self.questions.items()}
        assert all(answer in (0, OPEN[cve]) for cve, answer in answers.items()), answers
        return (LEVELS[probes.raw_ihl(), probes.prctl_auxv()],
                LEVELS[answers[FIRST_HOLE] != 0, answers[SECOND_HOLE] != 0])

    def cves(self):
        """What scanners of the host read."""
        return self.outside.host_cvelist()
