# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benches of the portal share: a portal and an nginx with the same files and the same certificate, and what the
processes of a server cost."""
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "scenario"))

import lab  # noqa: E402  (needs the path above)
from portal import Portal, make_certificate  # noqa: E402
from web import Web  # noqa: E402

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])

NGINX_SITE = """
    types {{ application/json json; text/html html; }}
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    server {{
        listen 127.0.0.1:{port} {listen};
        {tls}
        root {folder};
        {locations}
    }}
"""
NGINX_TLS = "ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;"


class Site:
    """A folder with a certificate; servers of it with and without TLS."""

    def __init__(self, folder, has_tls):
        self.folder, self.has_tls, self.tls = folder, has_tls, folder / "tls"
        make_certificate(self.tls, "localhost")

    def portal(self, **configuration):
        tls = {"TLS_CERTIFICATE": self.tls / "cert.pem", "TLS_KEY": self.tls / "key.pem"} if self.has_tls else {}
        return Portal(BUILD, self.folder / "portal", **tls, **configuration)

    def nginx(self, public, locations=""):
        """As quick as nginx can: one worker, no log, open files kept."""
        port = lab.free_port()
        tls = NGINX_TLS.format(folder=self.tls) if self.has_tls else ""
        return Web(public, self.folder / "nginx", port, NGINX_SITE.format(
            port=port, listen="ssl" if self.has_tls else "", tls=tls, folder=public, locations=locations))


def cpu_s(pid):
    """Seconds that a process and its children have computed so far: all of their threads that still live."""
    own = sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    return own + sum(cpu_s(child) for child in lab.children_of(pid))


def memory_mib(pid, what="VmRSS"):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024
