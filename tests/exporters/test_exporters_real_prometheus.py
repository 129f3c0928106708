"""A real Prometheus scrapes the agent's server; what it stored is what the snapshot said."""

from __future__ import annotations

import time

import bcrypt
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from locant_exporters.exposition import OPENMETRICS, expose
from locant_exporters.http import serve
from locant_exporters.prometheus import SnapshotCollector
from locant_exporters.web_config import load_web_config
from locant_slo.catalogue import ALL, Kind
from support.certificates import make_authority
from support.real_servers import eventually, prometheus
from support.snapshots import SPAN_ID, TRACE_ID, rich_snapshot

pytestmark = pytest.mark.server
OWN = '{job="locant", __name__=~"locant_.*"}'


def test_values_and_exemplars_read_back_as_the_snapshot_has_them(tmp_path, program):
    """Over TLS with a client's password, with awkward label values: nothing is lost or renamed on the way."""
    snapshot = rich_snapshot(taken_at=time.time())
    authority = make_authority(program("openssl"), tmp_path / "pki")
    authority.issue("server")
    secret = bcrypt.hashpw(b"pass", bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(
        "tls_server_config: {cert_file: pki/server.crt, key_file: pki/server.key}\n"
        f"basic_auth_users: {{prometheus: {secret}}}\n"
    )
    server = serve(lambda: snapshot, address="127.0.0.1:0", web_config=load_web_config(config))
    scrape = {
        "job_name": "locant",
        "scheme": "https",
        "static_configs": [{"targets": [server.address]}],
        "basic_auth": {"username": "prometheus", "password": "pass"},
        "tls_config": {"ca_file": str(authority.certificate)},
    }
    try:
        with prometheus(program("prometheus"), tmp_path, [scrape]) as api:
            eventually(lambda: list(api.series("up").values()) == [1.0])
            stored = eventually(lambda: api.series(OWN))
            assert without_target(stored) == samples(snapshot)
            assert read_back_exemplars(api) == written_exemplars(snapshot)
            metadata = api.get("/api/v1/metadata")
            for metric in ALL:
                assert metadata[_metadata_name(metric)][0]["help"] == metric.help
    finally:
        server.close()


def test_an_agent_that_is_not_ready_is_still_scraped_and_one_that_is_gone_is_down(tmp_path, program):
    server = serve(rich_snapshot, address="127.0.0.1:0", ready=lambda: "no model")
    scrape = {"job_name": "locant", "static_configs": [{"targets": [server.address]}]}
    with prometheus(program("prometheus"), tmp_path, [scrape]) as api:
        eventually(lambda: list(api.series("up").values()) == [1.0])
        server.close()
        eventually(lambda: list(api.series("up").values()) == [0.0])


def samples(snapshot):
    """Every sample of the exposition by its labels, names included, as Prometheus stores them."""
    text = expose(SnapshotCollector(lambda: snapshot), accept=OPENMETRICS).body.decode()
    families = text_string_to_metric_families(text)
    return {
        frozenset({**sample.labels, "__name__": sample.name}.items()): sample.value
        for family in families
        for sample in family.samples
    }


def without_target(stored):
    return {frozenset(item for item in key if item[0] not in ("job", "instance")): v for key, v in stored.items()}


def written_exemplars(snapshot):
    text = expose(SnapshotCollector(lambda: snapshot), accept=OPENMETRICS).body.decode()
    found = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.exemplar:
                labels = frozenset({**sample.labels, "__name__": sample.name}.items())
                found.add((labels, sample.exemplar.labels["trace_id"], sample.exemplar.value))
    return found


def read_back_exemplars(api):
    found = set()
    now = time.time()
    for item in api.get("/api/v1/query_exemplars", query=OWN, start=now - 600, end=now + 600):
        labels = frozenset(pair for pair in item["seriesLabels"].items() if pair[0] not in ("job", "instance"))
        for exemplar in item["exemplars"]:
            assert exemplar["labels"] == {"trace_id": TRACE_ID, "span_id": SPAN_ID}
            found.add((labels, exemplar["labels"]["trace_id"], float(exemplar["value"])))
    return found


def _metadata_name(metric) -> str:
    """OpenMetrics metadata stands under the family's name."""
    name = metric.prometheus_name
    return name.removesuffix("_total") if metric.kind is Kind.COUNTER else name.removesuffix("_info")
