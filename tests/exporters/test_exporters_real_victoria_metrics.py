"""A real OTLP receiver and the /metrics text show the same names and the same values for one snapshot.

VictoriaMetrics comes from tests/tools/fetch_victoria_metrics.sh; LOCANT_VICTORIA_METRICS names the binary where it is
not on the PATH.
"""

from __future__ import annotations

import os
import shutil
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from locant_exporters.exposition import expose
from locant_exporters.otlp import OtlpPusher
from locant_exporters.outcomes import Outcomes
from locant_exporters.prometheus import SnapshotCollector
from locant_slo.catalogue import ALL
from support.real_servers import eventually, victoria_metrics
from support.snapshots import rich_snapshot

pytestmark = pytest.mark.server
OURS = {name for metric in ALL for name in metric.label_names} | {"__name__", "le"}


@pytest.fixture
def binary() -> str:
    path = os.environ.get("LOCANT_VICTORIA_METRICS") or shutil.which("victoria-metrics")
    if not path:
        pytest.skip("NOT PROVEN HERE: no victoria-metrics; tests/tools/fetch_victoria_metrics.sh FOLDER unpacks one")
    assert Path(path).is_file(), f"LOCANT_VICTORIA_METRICS names {path}, which does not exist"
    return path


def test_both_backends_hold_the_same_series_with_the_same_values(tmp_path, binary):
    snapshot = rich_snapshot(started_at=time.time() - 3600, taken_at=time.time())
    with victoria_metrics(binary, tmp_path) as api:
        endpoint = f"{api.url}/opentelemetry/v1/metrics"
        pusher = OtlpPusher(lambda: snapshot, endpoint, resource={"service.name": "locant-test"}).start()
        assert pusher.close(20.0)
        assert pusher.outcomes == Outcomes(ok=1)
        query = '{__name__=~"locant_.+"}'
        urllib.request.urlopen(
            f"{api.url}/internal/force_flush", timeout=20
        ).close()  # else it shows them seconds later
        stored = eventually(lambda: api.series(query, at=snapshot.taken_at + 1))
    over_otlp = {series(dict(labels)): value for labels, value in stored.items()}
    text = expose(SnapshotCollector(lambda: snapshot)).body.decode()
    over_http = {
        series({**sample.labels, "__name__": sample.name}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert over_otlp == over_http


def series(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    """Our own labels; a bucket's bound as a number, for the two write it differently."""
    own = {name: value for name, value in labels.items() if name in OURS}
    if "le" in own:
        own["le"] = str(float(own["le"]))
    return frozenset(own.items())
