"""The web configuration: what it says, what the real promtool says of it, and what the server makes of it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import subprocess
import threading
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_exporters import basic_auth
from locant_exporters.basic_auth import Users
from locant_exporters.http import Limits, serve
from locant_exporters.web_config import WebConfig, load_web_config
from locant_slo.errors import ConfigError
from support.certificates import Authority, make_authority
from support.snapshots import rich_snapshot

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def authority(tmp_path, program) -> Authority:
    return make_authority(program("openssl"), tmp_path / "pki")


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return write


class TestTheFile:
    def full(self, authority: Authority) -> str:
        authority.issue("server")
        return f"""
tls_server_config:
  cert_file: pki/server.crt
  key_file: pki/server.key
  client_ca_file: pki/ca.crt
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS13
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: {HASH}
"""

    def test_everything_that_it_may_say_is_read_and_promtool_agrees(self, authority, write, program):
        path = write(self.full(authority))
        config = load_web_config(path)
        assert config.tls_server_config is not None
        assert config.tls_server_config.cert_file == authority.folder / "server.crt"
        assert config.basic_auth_users == {"prometheus": HASH}
        check = subprocess.run([program("promtool"), "check", "web-config", path], capture_output=True, check=False)
        assert check.returncode == 0, check.stderr

    def test_an_empty_file_is_plain_http(self, write):
        assert load_web_config(write("")) == WebConfig()

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("basic_auth_users: {a: secret}", "basic_auth_users.a: is no bcrypt hash; make one with `htpasswd"),
            ("tls_server_config: {cert_file: a}", "tls_server_config.key_file: Field required"),
            ("tls_config: {}", "tls_config: is not a setting of Locant's server; remove it"),
            ("http_server_config: {headers: {X-Evil: a}}", "http_server_config.headers.X-Evil"),
            ("http_server_config: {headers: {X-Frame-Options: maybe}}", "must be deny or sameorigin"),
            ("[1", "is no YAML"),
            ("- 1", "the file: Input should be"),
        ],
    )
    def test_what_cannot_hold_is_refused_by_us_and_by_promtool(self, write, program, text, sentence):
        path = write(text)
        with pytest.raises(ConfigError) as refusal:
            load_web_config(path)
        assert str(refusal.value).startswith(f"{path}: ")
        assert sentence in str(refusal.value)
        check = subprocess.run([program("promtool"), "check", "web-config", path], capture_output=True, check=False)
        assert check.returncode != 0

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", "'TLS12' or 'TLS13'"),
            ("tls_server_config: {cert_file: a, key_file: b, cipher_suites: [X]}", "cipher_suites: is not a setting"),
            ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}", "client_auth_type"),
            ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}", "set client_auth_type"),
            (
                "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
                "name the",
            ),
            ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}", "is above"),
            ('http_server_config: {headers: {Content-Security-Policy: "a\\r\\nSet-Cookie: b"}}', "cannot stand in"),
        ],
    )
    def test_what_we_could_not_keep_is_refused_with_words(self, write, text, sentence):
        with pytest.raises(ConfigError, match=sentence):
            load_web_config(write(text))

    def test_a_refusal_shows_no_secret(self, write):
        with pytest.raises(ConfigError) as refusal:
            load_web_config(write("basic_auth_users: {a: my-plain-password}"))
        assert "my-plain-password" not in str(refusal.value)

    def test_a_missing_file_is_a_sentence(self, tmp_path):
        with pytest.raises(ConfigError, match=r"absent.yml: cannot be read \(No such file"):
            load_web_config(tmp_path / "absent.yml")

    @given(st.text(max_size=60))
    @settings(max_examples=50)
    def test_any_text_is_a_configuration_or_a_sentence(self, tmp_path_factory, text):
        path = tmp_path_factory.getbasetemp() / "any.yml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigError):
            load_web_config(path)


class TestUsers:
    @pytest.mark.parametrize(
        ("header", "admitted"),
        [
            (basic("prometheus", "open sesame"), True),
            (basic("prometheus", "open sesam"), False),
            (basic("prometheus", ""), False),
            (basic("nobody", "open sesame"), False),
            (basic("prometheus", "open sesame" + "\0"), False),
            (basic("prometheus", "x" * 100), False),
            (basic("ü", "ü"), False),
            ("Bearer abc", False),
            ("Basic ???", False),
            ("Basic " + base64.b64encode(b"no colon").decode(), False),
            ("", False),
        ],
    )
    def test_only_the_right_user_with_the_right_password_is_admitted(self, header, admitted):
        assert Users({"prometheus": HASH}).admits(header) is admitted

    def test_a_password_longer_than_bcrypt_reads_is_never_right(self):
        users = Users({"a": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()})
        assert users.admits(basic("a", "x" * 72))
        assert not users.admits(basic("a", "x" * 73))

    def test_without_users_everybody_is_admitted(self):
        assert Users({}).admits("")

    def test_a_scrape_costs_a_bcrypt_once_even_while_somebody_guesses(self, monkeypatch):
        checks = []
        real = bcrypt.checkpw
        monkeypatch.setattr(basic_auth.bcrypt, "checkpw", lambda *a: checks.append(a[0]) or real(*a))
        users = Users({"prometheus": HASH})
        for guess in range(150):
            assert users.admits(basic("prometheus", "open sesame"))
            assert not users.admits(basic("prometheus", f"guess {guess}"))
        assert checks.count(b"open sesame") == 1
        assert len(users._verdicts) <= 100

    def test_an_unknown_user_costs_a_bcrypt_too(self, monkeypatch):
        checks = []
        real = bcrypt.checkpw
        monkeypatch.setattr(basic_auth.bcrypt, "checkpw", lambda *a: checks.append(a[1]) or real(*a))
        Users({"prometheus": HASH}).admits(basic("nobody", "x"))
        assert checks == [HASH.encode()]

    def test_a_hash_that_bcrypt_cannot_read_admits_nobody(self):
        assert not Users({"a": "$2y$04$" + "/" * 53}).admits(basic("a", "x"))


class TestTheServer:
    @pytest.fixture
    def start(self, authority, write):
        servers = []

        def start(text: str, limits: Limits | None = None):
            config = load_web_config(write(text))
            servers.append(serve(rich_snapshot, address="127.0.0.1:0", web_config=config, limits=limits))
            return servers[-1]

        yield start
        for server in servers:
            server.close()

    def get(self, server, authority: Authority, client: tuple[Path, Path] | None = None, **headers):
        context = ssl.create_default_context(cafile=authority.certificate)
        if client:
            context.load_cert_chain(*client)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers=headers)
            response = connection.getresponse()
            response.read()
            return response

    def certificate_serial(self, server, authority: Authority) -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", server.port), ca_certs=str(authority.certificate), timeout=20)
        path = authority.folder / "seen.crt"
        path.write_text(pem)
        command = [authority.openssl, "x509", "-noout", "-serial", "-in", path]
        return int(subprocess.check_output(command, text=True).strip().removeprefix("serial="), 16)

    TLS = "tls_server_config: {cert_file: pki/server.crt, key_file: pki/server.key"

    def test_tls_is_served_and_headers_are_added(self, start, authority):
        authority.issue("server")
        server = start(self.TLS + "}\nhttp_server_config: {headers: {X-Frame-Options: deny}}")
        response = self.get(server, authority)
        assert response.status == 200
        assert response.headers["X-Frame-Options"] == "deny"
        assert server.url.startswith("https://")

    def test_a_client_that_opens_tls_and_says_nothing_does_not_delay_a_scrape(self, start, authority):
        """Each silent client would hold a server that shakes hands while accepting for the whole minute."""
        import socket

        authority.issue("server")
        server = start(self.TLS + "}", Limits(silence_seconds=60.0, connection_seconds=60.0))
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
        half = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(*half, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        for client in silent[5:]:
            client.sendall(half[1].read(50))  # the beginning of a hello
        assert self.get(server, authority).status == 200
        for client in silent:
            client.close()

    def test_mutual_tls_refuses_strangers(self, start, authority, tmp_path):
        authority.issue("server")
        client = authority.issue("client")
        stranger = make_authority(authority.openssl, tmp_path / "other").issue("stranger")
        server = start(self.TLS + ", client_ca_file: pki/ca.crt, client_auth_type: RequireAndVerifyClientCert}")
        assert self.get(server, authority, client).status == 200
        for nobody in (None, stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                self.get(server, authority, nobody)

    def test_renewed_certificates_are_served_to_the_next_connection(self, start, authority):
        authority.issue("server", serial=1)
        server = start(self.TLS + "}")
        assert self.certificate_serial(server, authority) == 1
        authority.issue("server", serial=2)
        assert self.certificate_serial(server, authority) == 2

    def test_half_a_rotation_keeps_the_old_certificate_and_says_so_once(self, start, authority, caplog):
        _, key = authority.issue("server", serial=1)
        server = start(self.TLS + "}")
        old_key = key.read_bytes()
        authority.issue("server", serial=2)
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        assert [self.certificate_serial(server, authority) for _ in range(3)] == [1, 1, 1]
        assert caplog.text.count("keeping the old certificate") == 1
        key.write_bytes(new_key)
        assert self.certificate_serial(server, authority) == 2

    @pytest.mark.parametrize("broken", ["pki/server.crt", "pki/server.key"])
    def test_a_certificate_that_cannot_be_used_is_a_sentence_at_start(self, start, authority, tmp_path, broken):
        authority.issue("server")
        (tmp_path / broken).write_text("nonsense")
        with pytest.raises(ConfigError, match="cannot be used"):
            start(self.TLS + "}")

    def test_basic_auth_guards_every_path(self, start, authority):
        server = start(f"basic_auth_users: {{prometheus: {HASH}}}")
        for path in ("/metrics", "/", "/-/healthy", "/nowhere"):
            for header, admitted in ((basic("prometheus", "open sesame"), True), (basic("a", "b"), False), ("", False)):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
                with contextlib.closing(connection):
                    connection.request("GET", path, headers={"Authorization": header})
                    response = connection.getresponse()
                assert (response.status != 401) is admitted
                assert admitted or response.headers["WWW-Authenticate"] == 'Basic realm="locant"'

    def test_concurrent_first_scrapes_cost_one_bcrypt(self, monkeypatch):
        checks = []
        real = bcrypt.checkpw
        monkeypatch.setattr(basic_auth.bcrypt, "checkpw", lambda *a: checks.append(1) or real(*a))
        users = Users({"prometheus": HASH})
        threads = [threading.Thread(target=users.admits, args=(basic("prometheus", "x"),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(checks) == 1
