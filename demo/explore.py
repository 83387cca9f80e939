# SPDX-License-Identifier: GPL-2.0-or-later
"""`demo/run --keep`: a shell in the demo's world, where portal, host and guest are still there."""
import os
import pty
import subprocess
import sys

from author import KERNEL_PATCHSET, LIBRARY_PATCHSET
from stage import TOP, say, step

HINTS = f"""
  kc.eportal server list                   the portal's: who is fixed
  kc.eportal libcare block {LIBRARY_PATCHSET}    a bad patch: the next update takes it out
  kc.eportal kcare block {KERNEL_PATCHSET}      (enable: and back again)
  kc.eportal audit                         who did what

  kcarectl --lib-info                      the host's: this shell is root's there
  kcarectl --userspace-update
  ask first-nonce-; ask second-nonce       what the vulnerable server answers

  guest kcarectl --patch-info              the guest's: any command after the word
  guest kcarectl --update
  guest exploit
"""

PROFILE = """PS1='demo# '
guest() {{ {console} {guest} "$*"; }}
ask() {{ exec 3<>/dev/tcp/127.0.0.1/{port}; echo "$1" >&3; cat <&3; exec 3>&-; }}
"""


def explore(portal, host, guest):
    """Returns when the shell ends."""
    host.vault.rest()
    guest.shell.console.close()
    profile = portal.work / "profile"
    profile.write_text(PROFILE.format(console=TOP / "demo/console.py", guest=guest.socket, port=host.vault.port))
    step(f"Now it is yours: a portal at {portal.address()}, a host, a guest, and this shell")
    say(f"{HINTS}  curl -u admin:{portal.password} {portal.address()}/admin/api/servers\n\n"
        f"Files are in {portal.work}; 'exit' ends all of it and cleans up.")
    os.chdir(portal.work)
    os.environ.update(host.shell.environment | {"KC_EPORTAL_SOCKET": portal.shell.environment["KC_EPORTAL_SOCKET"]})
    if sys.stdin.isatty():
        pty.spawn(["bash", "--rcfile", str(profile)])
    else:  # a script
        subprocess.run(["bash"], env=os.environ | {"BASH_ENV": str(profile)}, check=False)
    return 0
