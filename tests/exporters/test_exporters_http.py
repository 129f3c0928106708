"""The agent's HTTP server, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locant_exporters.address import Address, parse_address
from locant_exporters.exposition import OPENMETRICS, TEXT
from locant_exporters.http import Limits, serve
from locant_exporters.outcomes import Outcomes
from locant_slo.errors import ConfigError, MachineError
from locant_slo.findings import FailureMode, Finding, Severity
from support.snapshots import rich_snapshot

LOOPBACK = "127.0.0.1:0"


@pytest.fixture
def start():
    servers = []

    def start(address: str = LOOPBACK, snapshot=rich_snapshot, **options):
        servers.append(serve(snapshot, address=address, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(server, path="/metrics", method="GET", body=None, **headers) -> tuple[http.client.HTTPResponse, bytes]:
    host, _, _ = server.address.rpartition(":")
    client = http.client.HTTPConnection(host.strip("[]"), server.port, timeout=20)
    try:
        client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = client.getresponse()
        return response, response.read()
    finally:
        client.close()


def silent_client(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port))


def test_metrics_come_in_the_format_that_was_asked_for(start):
    server = start()
    response, body = ask(server)
    assert (response.status, response.headers["Content-Type"]) == (200, TEXT)
    response, body = ask(server, Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Type"] == OPENMETRICS
    assert body.endswith(b"# EOF\n")


def test_gzip_only_for_clients_that_take_it(start):
    server = start()
    response, plain = ask(server)
    assert response.headers["Content-Encoding"] is None
    response, packed = ask(server, Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain


def test_names_in_the_query_narrow_the_answer(start):
    _, body = ask(start(), "/metrics?name[]=up&name%5B%5D=scrape")
    assert body == b""


@pytest.mark.parametrize("path", ["/metrics/", "/metricsx", "/-/", "/-/reload", "/favicon.ico", "/%2e%2e/"])
def test_every_other_path_is_not_found(start, path):
    assert ask(start(), path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_other_methods_are_refused_with_the_ones_that_work(start, method):
    response, _ = ask(start(), method=method, body=b"x" * 1000)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_and_no_body(start):
    response, body = ask(start(), method="HEAD")
    assert response.status == 200
    assert int(response.headers["Content-Length"]) > 1000
    assert body == b""


def test_the_landing_page_names_the_endpoints(start):
    response, body = ask(start(), "/")
    assert response.headers["Content-Type"].startswith("text/html")
    assert b'href="/metrics"' in body


def test_a_finding_whose_words_are_no_text_costs_no_other(start):
    odd = Finding(FailureMode.PRECISION, Severity.PAGE, "c", "a \ud800", {"b": "\udfff", "n": 1}, model="m\ud800")
    status, body = ask(start(snapshot=lambda: replace(rich_snapshot(), findings=(odd,))), "/api/v1/findings")
    assert status.status == 200
    (found,) = json.loads(body)["findings"]
    assert (found["message"], found["evidence"]) == ("a \ufffd", {"b": "\ufffd", "n": 1})


def test_readiness_tells_the_truth_and_the_reason_while_health_holds(start):
    verdict: list[bool | str] = ["the model is not attached yet"]
    server = start(ready=lambda: verdict[0])
    response, body = ask(server, "/-/ready")
    assert (response.status, body) == (503, b"the model is not attached yet.\n")
    verdict[0] = False
    assert ask(server, "/-/ready")[0].status == 503
    assert ask(server, "/-/healthy")[0].status == 200
    verdict[0] = True
    assert ask(server, "/-/ready")[0].status == 200


def test_reloading_is_a_post_and_a_configuration_that_does_not_hold_is_the_answer(start):
    calls = []
    server = start(reload=lambda: calls.append(1))
    assert ask(server, "/-/reload")[0].status == 405
    assert not calls
    response, body = ask(server, "/-/reload", method="POST")
    assert (response.status, body, calls) == (200, b"Reloaded.\n", [1])

    def refuse() -> None:
        raise ConfigError("locant.yaml: web: is not a setting; remove it")

    response, body = ask(start(reload=refuse), "/-/reload", method="POST")
    assert (response.status, body) == (
        500,
        b"The old configuration stays: locant.yaml: web: is not a setting; remove it.\n",
    )


def test_only_a_scrape_of_metrics_takes_a_snapshot(start):
    taken = []
    server = start(snapshot=lambda: taken.append(1) or rich_snapshot())
    for path in ("/", "/-/healthy", "/-/ready", "/nowhere"):
        ask(server, path)
    ask(server, "/metrics", method="POST")
    assert not taken
    ask(server)
    assert len(taken) == 1
    assert server.outcomes == Outcomes(ok=1)


def test_a_snapshot_that_fails_is_a_500_and_a_line_in_the_log(start, caplog):
    server = start(snapshot=lambda: 1 / 0)
    assert ask(server)[0].status == 500
    assert "ZeroDivisionError" in caplog.text
    assert server.outcomes == Outcomes(error=1)
    assert ask(server, "/-/healthy")[0].status == 200


def test_a_port_in_use_is_a_sentence_with_the_address_and_the_cure(start):
    server = start()
    with pytest.raises(
        MachineError, match=rf"127.0.0.1:{server.port} is in use; .*choose another --web.listen-address"
    ):
        start(f"127.0.0.1:{server.port}")


@pytest.mark.parametrize("address", ["203.0.113.7:9464", "no-such-host.invalid:1"])
def test_an_address_that_is_not_ours_is_a_sentence(start, address):
    with pytest.raises(MachineError, match="choose"):
        start(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9464",
        "host",
        "host:",
        "host:-1",
        "host:65536",
        "::1:9464",
        "host:٣",
        "a..b:9464",
        f"{'a' * 64}:9464",
        f":{'9' * 5_000}",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="is no listen address"):
        parse_address(text)


def test_addresses_read_as_they_are_written():
    assert parse_address("[::1]:9464") == Address("::1", 9464)
    assert parse_address(":9464") == Address("", 9464)
    assert str(parse_address("[::1]:9464")) == "[::1]:9464"


def test_ipv6_is_served(start):
    try:
        server = start("[::1]:0")
    except MachineError:
        pytest.skip("NOT PROVEN HERE: this machine has no IPv6 loopback")
    assert ask(server, "/-/healthy")[0].status == 200


def test_no_host_means_every_address(start):
    server = start(":0")
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    client.request("GET", "/-/healthy")
    assert client.getresponse().status == 200
    client.close()


class TestClientsThatMisbehave:
    def test_more_silent_clients_than_places_do_not_keep_a_scrape_out(self, start):
        server = start(limits=Limits(connections=4))
        silent = [silent_client(server) for _ in range(40)]
        assert ask(server)[0].status == 200
        for client in silent:
            client.close()

    def test_no_more_threads_than_places(self, start):
        server = start(limits=Limits(connections=4))
        silent = [silent_client(server) for _ in range(40)]
        assert ask(server)[0].status == 200
        settle(lambda: client_threads() <= 4)
        for client in silent:
            client.close()
        settle(lambda: client_threads() == 0)

    def test_when_every_place_is_being_answered_newcomers_are_turned_away(self, start):
        hold = threading.Event()
        server = start(snapshot=lambda: hold.wait(20) and rich_snapshot(), limits=Limits(connections=1))
        first = threading.Thread(target=ask, args=(server,))
        first.start()
        settle(lambda: any(c.asked for c in list(server._web.connections._open)))
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(server, "/-/healthy")
        hold.set()
        first.join()
        settle(lambda: not server._web.connections._open)
        assert ask(server, "/-/healthy")[0].status == 200

    def test_a_body_of_more_bytes_than_there_are_digits_for_is_answered_all_the_same(self, start):
        body = f"GET /-/healthy HTTP/1.0\r\nContent-Length: {'9' * 5_000}\r\n\r\n".encode()
        with silent_client(start()) as client:
            client.sendall(body)
            assert client.recv(100).startswith(b"HTTP/1.0 200")
            client.settimeout(20)
            while client.recv(4096):
                continue

    def test_silence_ends_the_connection(self, start):
        with silent_client(start(limits=Limits(silence_seconds=0.2))) as client:
            assert client.recv(1) == b""

    def test_a_header_byte_by_byte_ends_the_connection(self, start):
        server = start(limits=Limits(silence_seconds=5.0, connection_seconds=0.5))
        with silent_client(server) as client:
            settle(lambda: not still_takes(client, b"G"))

    def test_an_answer_that_nobody_reads_ends_the_connection(self, start):
        server = start(limits=Limits(silence_seconds=0.3, connection_seconds=0.6), snapshot=lambda: huge_snapshot())
        with silent_client(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            settle(lambda: client_threads() == 1)
            settle(lambda: client_threads() == 0)

    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"414"),
            (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
            (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/9.9\r\n\r\n", b"505"),
            (b"GET /metrics?" + b"a=&" * 2_000 + b" HTTP/1.1\r\n\r\n", b"400"),
        ],
    )
    def test_requests_beyond_the_limits_get_an_error_and_no_more(self, start, request_bytes, status):
        server = start()
        with silent_client(server) as client:
            client.sendall(request_bytes)
            assert status in client.makefile("rb").read()
        assert ask(server, "/-/healthy")[0].status == 200

    def test_no_bytes_at_all_stop_the_server(self, start):
        server = start(limits=Limits(silence_seconds=0.5))

        @given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(b"GET /metrics HTTP/1.1\r\n".__add__)))
        @settings(max_examples=60)
        def send(data: bytes) -> None:
            with silent_client(server) as client, contextlib.suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65_536):
                    pass

        send()
        assert ask(server)[0].status == 200
        settle(lambda: client_threads() == 0)

    def test_a_machine_without_threads_to_spare_costs_that_connection_alone(self, start, monkeypatch, caplog):
        server = start()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
            with silent_client(server) as client:
                assert client.recv(1) == b""
        assert "no thread" in caplog.text
        assert ask(server)[0].status == 200

    def test_clients_that_vanish_leave_no_thread_and_no_noise(self, start, capfd):
        server = start()
        for _ in range(20):
            with silent_client(server) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        settle(lambda: client_threads() == 0)
        assert capfd.readouterr().err == ""


def test_closing_frees_the_port_and_the_threads_and_may_be_repeated(start):
    server = start()
    ask(server)
    server.close()
    server.close()
    settle(lambda: not any(thread.name.startswith("locant-web") for thread in threading.enumerate()))
    start(f"127.0.0.1:{server.port}")


def test_closing_lets_an_answer_under_way_finish(start):
    taking = threading.Event()

    def slow():
        taking.set()
        time.sleep(0.3)
        return rich_snapshot()

    server = start(snapshot=slow)
    answers = []
    scrape = threading.Thread(target=lambda: answers.append(ask(server)[0].status))
    scrape.start()
    assert taking.wait(20)
    server.close()
    scrape.join()
    assert answers == [200]


def huge_snapshot():
    from locant_slo.catalogue import metrics
    from locant_slo.snapshot import Family, Sample, Snapshot

    samples = tuple(Sample((f"model-{i}", "x" * 100), 1.0) for i in range(40_000))
    return Snapshot(1.0, 0.0, (Family(metrics.OBSERVATIONS, samples),))


def still_takes(client: socket.socket, data: bytes) -> bool:
    try:
        client.sendall(data)
    except OSError:
        return False
    return True


def client_threads() -> int:
    return sum(thread.name == "locant-web-client" for thread in threading.enumerate())


def settle(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the condition did not come true")
