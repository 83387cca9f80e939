# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads through kcare-fetch: TLS, and proxies that fail, stall, lie and attack."""

import contextlib
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile

import pytest

import lab
from conftest import need_program, need_root
from downloads import (  # noqa: F401 (fixtures)
    CONTENT, SIZE, answer, expect, expect_file, fetch, from_first_byte, path, programs, serve,
)
from lab import DONE, INPUT, NETWORK, REFUSED, free_port

# ---------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="session")
def certificates():
    """ca.pem, server.pem for 127.0.0.1 signed by it, other.pem for example.org, old.pem that has expired. Where the helper's
    user may read, whatever another run of pytest does with its folders meanwhile."""
    need_program("openssl", "openssl")
    with tempfile.TemporaryDirectory(prefix="kcare-certificates-") as folder:
        make_certificates(pathlib.Path(folder))
        yield pathlib.Path(folder)


def make_certificates(folder):
    folder.chmod(0o755)
    lab.call(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
              "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA"], folder)
    for name, subject, days in (("server", "IP:127.0.0.1", "2"), ("other", "DNS:example.org", "2"), ("old", "IP:127.0.0.1", "-1")):
        (folder / "extensions").write_text(f"subjectAltName={subject}\n")
        lab.call(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                  "-out", "request", "-subj", f"/CN={name}"], folder)
        lab.call(["openssl", "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                  "-extfile", "extensions", "-out", f"{name}.pem"], folder)


def tls(certificates, name="server"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def test_unknown_ca(serve, fetch, certificates):
    server = serve(from_first_byte, tls(certificates))
    result = fetch.get(server.url)
    expect(result, NETWORK, f"network: {server.url}: SSL certificate problem", "update-ca-certificates")
    assert not server.requests and "trying again" not in result.err


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_trusted_ca(serve, fetch, certificates, path, variable):
    server = serve(from_first_byte, tls(certificates))
    env = {variable: str(certificates / "ca.pem")}
    result = fetch.get(server.url, env=env)
    expect(result, DONE)
    assert result.out == CONTENT
    expect_file(fetch.file(server.url, path, env=env), path)


@pytest.mark.parametrize("name,text", [("other", "no alternative certificate subject name matches"), ("old", "has expired")])
def test_bad_certificate(serve, fetch, certificates, name, text):
    server = serve(from_first_byte, tls(certificates, name))
    expect(fetch.get(server.url, env={"CURL_CA_BUNDLE": str(certificates / "ca.pem")}), NETWORK, "network: ", text)
    assert not server.requests


@pytest.mark.parametrize("place", ["hashes", "bundle", "bundle beside other hashes"])
def test_cas_of_the_distribution(serve, fetch, certificates, tmp_path, place):
    """Where update-ca-certificates puts them; the folder of hashes is enough, and so is the bundle."""
    need_root("another /etc/ssl/certs")
    folder = certificates / place.replace(" ", "-")
    folder.mkdir()
    known = folder / ("ca.pem" if place == "hashes" else "ca-certificates.crt")
    known.write_bytes((certificates / "ca.pem").read_bytes())
    if place != "bundle":
        (folder / "some.pem").write_bytes((certificates / ("ca.pem" if place == "hashes" else "server.pem")).read_bytes())
        lab.call(["openssl", "rehash", "."], folder)
    server = serve(from_first_byte, tls(certificates))
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {folder} /etc/ssl/certs && exec "$@"', "sh"]
    result = fetch("get", server.url, SIZE, server.url, SIZE, prefix=prefix)
    expect(result, DONE, "requests 2 ")
    assert result.out == 2 * CONTENT
    env = {"SSL_CERT_DIR": str(folder)} if place == "hashes" else {"SSL_CERT_FILE": str(known)}
    assert fetch.get(server.url, env=env).out == CONTENT


def test_ca_that_the_helper_cannot_read(serve, fetch, certificates):
    server = serve(from_first_byte, tls(certificates))
    (certificates / "secret.pem").write_bytes((certificates / "ca.pem").read_bytes())
    (certificates / "secret.pem").chmod(0)
    need_root("a file that only root reads")
    expect(fetch.get(server.url, env={"CURL_CA_BUNDLE": str(certificates / "secret.pem")}), NETWORK,
           f"network: {server.url}: error setting certificate file: ", "in files that all users may read")


def test_https_never_becomes_http(serve, fetch, certificates):
    plain = serve(from_first_byte)
    server = serve(lambda request: answer(b"", "302 Found", [f"Location: {plain.url}/"]), tls(certificates))
    expect(fetch.get(server.url, env={"CURL_CA_BUNDLE": str(certificates / "ca.pem")}), REFUSED, "redirect: ")
    assert not plain.requests


def test_http_at_an_https_address(serve, fetch):
    server = serve(from_first_byte)
    expect(fetch.get(server.url.replace("http", "https"), tries=1), NETWORK, "network: ")


def test_old_tls_is_refused(serve, fetch, certificates):
    context = tls(certificates)
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    server = serve(from_first_byte, context)
    expect(fetch.get(server.url, tries=1, env={"CURL_CA_BUNDLE": str(certificates / "ca.pem")}), NETWORK, "network: ")
    assert not server.requests


# ------------------------------------------------------------------------------------------------------------ proxies


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def proxy(tmp_path):
    """tinyproxy; its log says what went through it."""
    need_program("tinyproxy", "tinyproxy")
    port, log = free_port(), tmp_path / "proxy.log"
    (tmp_path / "proxy.conf").write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 20\nLogFile "{log}"\nLogLevel Connect\n')
    process = subprocess.Popen(["tinyproxy", "-d", "-c", str(tmp_path / "proxy.conf")], stdout=subprocess.DEVNULL)
    lab.wait_until(lambda: listens(port), 20, "tinyproxy listens")
    yield f"http://127.0.0.1:{port}", lambda: [line for line in log.read_text().splitlines() if "Request (file" in line]
    process.terminate()
    process.wait(20)


def test_proxy(serve, fetch, proxy, path):
    url, log = proxy
    server = serve(from_first_byte)
    assert fetch.get(server.url, http_proxy=url).out == CONTENT
    path.write_bytes(CONTENT[:1000])
    path.chmod(0o600)
    expect_file(fetch.file(server.url, path, http_proxy=url), path)
    assert [f"GET {server.url}/ HTTP/1.1" in line for line in log()] == [True, True]
    assert server.requests[1].first_byte == 1000 and "via" in server.requests[0].headers


def test_https_through_a_proxy(serve, fetch, proxy, certificates):
    url, log = proxy
    server = serve(from_first_byte, tls(certificates))
    env = {"CURL_CA_BUNDLE": str(certificates / "ca.pem")}
    assert fetch.get(server.url, https_proxy=url, env=env).out == CONTENT
    assert [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1" in line for line in log()] == [True]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_proxy_of_the_environment(serve, fetch, proxy, name):
    url, log = proxy
    server = serve(from_first_byte)
    assert fetch.get(server.url, env={name: url}).out == CONTENT
    assert len(log()) == 1


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_https_proxy_of_the_environment(serve, fetch, proxy, name, certificates):
    url, log = proxy
    server = serve(from_first_byte, tls(certificates))
    env = {name: url, "http_proxy": "http://127.0.0.1:1", "CURL_CA_BUNDLE": str(certificates / "ca.pem")}
    assert fetch.get(server.url, env=env).out == CONTENT
    assert len(log()) == 1


def test_options_come_before_the_environment(serve, fetch, proxy):
    url, log = proxy
    server = serve(from_first_byte)
    nobody = f"http://127.0.0.1:{free_port()}"
    assert fetch.get(server.url, http_proxy=url, env={"http_proxy": nobody}).out == CONTENT
    assert len(log()) == 1
    assert fetch.get(server.url, http_proxy="", env={"http_proxy": nobody}).out == CONTENT
    expect(fetch.get(server.url, tries=1, env={"http_proxy": nobody, "HTTP_PROXY": url}), NETWORK, "network: ")
    assert len(log()) == 1


@pytest.mark.parametrize("exceptions", ["127.0.0.1", "example.org,127.0.0.1", "*", "127.0.0.0/8"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy(serve, fetch, exceptions, name):
    server = serve(from_first_byte)
    nobody = f"http://127.0.0.1:{free_port()}"
    assert fetch.get(server.url, http_proxy=nobody, env={name: exceptions}).out == CONTENT
    assert fetch.get(server.url, env={"HTTP_PROXY": nobody, name: exceptions}).out == CONTENT
    assert fetch.get(server.url, http_proxy=nobody, no_proxy=exceptions).out == CONTENT
    expect(fetch.get(server.url, http_proxy=nobody, no_proxy="example.org", env={name: exceptions}, tries=1), NETWORK)


def test_no_proxy_there(serve, fetch):
    server = serve(from_first_byte)
    nobody = free_port()
    expect(fetch.get(server.url, http_proxy=f"http://127.0.0.1:{nobody}", tries=1), NETWORK,
           f"network: {server.url}: Failed to connect to 127.0.0.1 port {nobody}", "the proxy")
    expect(fetch.get(server.url, http_proxy="http://nobody.invalid:3128", tries=1), NETWORK,
           "Could not resolve proxy: nobody.invalid")
    assert not server.requests


def test_password_of_a_proxy(serve, fetch):
    """It reaches the proxy, and neither messages nor command lines."""
    proxy = serve(lambda request: request.connection.sendall(answer(b"", "407 Proxy Authentication Required")))
    result = fetch.get("http://example.org/", http_proxy=f"http://me:secret@127.0.0.1:{proxy.port}")
    expect(result, NETWORK, "status 407")
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    assert "secret" not in result.err


@pytest.mark.parametrize("proxy", ["http://me:secret@[bad", "gopher://me:secret@127.0.0.1", "http://me:secret@a b"])
def test_proxy_that_is_no_address(fetch, proxy):
    result = fetch.get("http://example.org/", tries=1, http_proxy=proxy)
    expect(result, NETWORK, "network: http://example.org/: ", "proxy")
    assert "secret" not in result.err


def test_password_of_an_address_is_not_shown(serve, fetch):
    server = serve(lambda request: answer(b"", "403 Forbidden"))
    result = fetch.get(server.url.replace("127", "me:secret@127") + "/x@y")
    expect(result, NETWORK, f"server: {server.url}/x@y: the server answers with status 403")
    assert server.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0" and "secret" not in result.err


def test_proxy_that_alters(serve, fetch, path):
    """In place of the server it can say anything; the hash tells."""
    proxy = serve(lambda request: answer(CONTENT[:-1] + b"!"))
    expect(fetch.file("http://example.org/", path, http_proxy=proxy.url), INPUT, "corrupt: ")
    assert not path.exists() and proxy.requests[0].path == "http://example.org/"


def test_proxy_that_truncates(serve, fetch, path):
    proxy = serve(lambda request: answer(CONTENT[:5000], length=SIZE) if request.number % 2 else
                  request.connection.sendall(answer(CONTENT[:5000], length=SIZE)))
    result = fetch.file("http://example.org/", path, http_proxy=proxy.url, tries=2)
    assert result.code in (INPUT, NETWORK), result
    assert "truncated: " in result.err or "stalled: " in result.err, result
    assert path.read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_stalls(serve, fetch, scheme):
    proxy = serve(lambda request: proxy.over.wait(60) and None)
    options = {f"{scheme}_proxy": proxy.url}
    result = fetch.get(f"{scheme}://example.org/", tries=1, connect_ms=2000, **options)
    assert result.code == NETWORK and re.search("network: |stalled: ", result.err), result
    assert result.seconds < 8


def test_proxy_that_refuses_the_tunnel(serve, fetch):
    proxy = serve(lambda request: answer(b"no", "403 Forbidden"))
    expect(fetch.get("https://example.org/", tries=1, https_proxy=proxy.url), NETWORK, "network: ", "403")


def test_proxy_that_pretends_to_be_the_server(serve, fetch, certificates):
    """TLS ends at the server, not at the proxy."""
    proxy = serve(lambda request: request.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + from_first_byte(request)))
    expect(fetch.get("https://example.org/", tries=1, https_proxy=proxy.url), NETWORK, "network: ")
