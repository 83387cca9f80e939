# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx in front of a folder, as an operator would run it for a repository: its own process, its own log, no TLS.

Used by scenarios and, through tests/vm/conductor.py, by guests. Nothing here knows what a repository is.
"""
import os
import shutil
import signal
import socket
import subprocess

import lab

CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    log_format asked '$request_method $request_uri $status $body_bytes_sent';
    access_log {work}/access.log asked;
    {site}
}}
"""

SITE = """
    types {{ application/json json; text/html html; }}
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port};
        root {folder};
    }}
"""


class Web:
    """Serves `folder`; keeps configuration and logs in `work`. start() after stop() is at the same port. `site`: what is to
    be in http { } instead."""

    def __init__(self, folder, work, port=None, site=None):
        assert shutil.which("nginx"), "nginx is not installed; `make deps` installs what is needed (nginx-light)"
        self.port, self.work, self.process = port or lab.free_port(), work, None
        self.url = f"http://127.0.0.1:{self.port}"
        work.mkdir(parents=True, exist_ok=True)
        # its workers must be able to enter a test's folder
        user = "" if os.getuid() else "user root;"
        (work / "nginx.conf").write_text(CONFIGURATION.format(
            user=user, work=work, site=site or SITE.format(folder=folder, port=self.port)))

    def start(self):
        command = ["nginx", "-p", str(self.work), "-e", str(self.work / "error.log"), "-c", str(self.work / "nginx.conf")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        lab.wait_until(self.answers, 20, "nginx answers")
        return self

    def answers(self):
        assert self.process.poll() is None, f"nginx ended: {(self.work / 'error.log').read_text()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self):
        """Dies at once, with its workers."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def requests(self):
        """What was asked for since the last call: ["GET /feeds/main/metadata/timestamp.json 200 812"]."""
        log = self.work / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")  # nginx appends
        return lines
