"""Good inputs of every parser: what the damage starts from."""

from __future__ import annotations

from dataclasses import replace

from locant.observation import (
    ABSENT,
    CanaryFacts,
    Detached,
    Deviation,
    ForwardFacts,
    ModelAttached,
    ProbeHealth,
    ReplayFacts,
    RotaryFacts,
    StreamFacts,
)
from support.agent_process import PROFILE, ROW
from support.sidecar_traffic import attention

ROWS = tuple(ROW._replace(real=n, left_pads=n % 3, first_token_hash=n) for n in range(1, 6))
OBSERVATIONS = (
    ModelAttached(1, 2.0, "m", "v", PROFILE, (Deviation("rotary", "inv_freq", 0.1, "1", "2"),)),
    ForwardFacts(
        1, 0.0, 1, "prefill", 0.01, 7, ROWS, cache_id=3, masked=True, rotary=RotaryFacts("float32", 0.0), seen=("mask",)
    ),
    ForwardFacts(1, 0.0, 2, "decode", 0.01, 1, ROWS, cache_id=3, table_growths=((8, 16),), request_ids=("a",) * 5),
    attention(),
    attention(heat_head=0, heat_bins=2, heat=(0.5,) * 4, heat_rows=(1, 1), padded_rows=3),
    ForwardFacts(
        1, 0.0, 3, "prefill", 0.01, 2, ROWS[:2], whole=True, position_columns=(0, 1), positions=((0, 1), (ABSENT, 0))
    ),
    replace(attention(), visibility=(ABSENT, 0, 3), window=7, mask="causal+bool"),
    StreamFacts(1, 1.0, 2, 0),
    CanaryFacts(1, 1.0, "copy/4", "copy", "up_to_1", False, True, None, (("begin", 0.5, 3),), True),
    ProbeHealth(1, 1.0, (("queue_full", 1),), (("mask", 1),), 0.1, 0.2, requests=(("looked", 1),)),
    ReplayFacts(1, 1.0, "alone", "float32", "logits", (0.1, 0.2), tokens=7),
    Detached(1, 3.0),
)

CONFIG = b"""
latency_target_seconds: 0.1
socket_mode: "0660"
socket_allowed_uids: [0, 1000]
reference_path: /tmp/reference.json
drift_window_seconds: 1d
web_listen_address: 127.0.0.1:9466
debug_metrics: true
"""
WEB = b"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
http_server_config:
  headers: {X-Frame-Options: deny}
basic_auth_users:
  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
"""
SPEC = b"""
version: locant/v1
service: chat
team: ml-platform
objectives:
  - {name: position-integrity, indicator: position_integrity, target: 0.999}
  - {name: streaming, indicator: streaming_chunks, target: 99.9%, window: 30d}
"""
SLOTH = b"""
version: prometheus/v1
service: shop
labels: {owner: a, tier: "2"}
slos:
  - name: availability
    objective: 99.9
    sli:
      events:
        error_query: sum by (a) (rate(http_requests_total{code=~"5.."}[{{.window}}])) or vector(0)
        total_query: sum by (a) (rate(http_requests_total[{{.window}}]))
    alerting: {name: A, page_alert: {labels: {severity: x}}, ticket_alert: {disable: true}}
  - {name: raw, objective: 95, sli: {raw: {error_ratio_query: "a_total[{{.window}}]"}}, alerting: {}}
"""
OPENSLO = b"""
apiVersion: openslo/v1
kind: SLO
metadata: {name: orders, labels: {team: [a, b]}}
spec:
  service: shop
  indicator:
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(http_requests{code=~"2.."})'}}}
        total: {metricSource: {type: Prometheus, spec: {query: sum(rate(http_requests[5m]))}}}
  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: 2022-01-01 12:00:00, timeZone: UTC}}]
  budgetingMethod: Timeslices
  objectives: [{displayName: Good, op: gt, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1m}]
  alertPolicies: [{alertPolicyRef: policy}]
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: policy}
spec:
  alertWhenNoData: true
  conditions:
    - spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}}
  notificationTargets: [{targetRef: mail}]
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: mail}
spec: {target: email}
"""
POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  containers: [{name: model, image: x}]\n"
BOMB = (
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9))
).encode()
CANARY = b"""
name: shop
seed: 3
batch: 4
vocabulary: {tasks: {copy: 3}, words: [5, 6, 7, 8], separator: 4}
questions:
  - {tasks: [copy], lengths: [0.5, 1.25], samples: 2}
identities: {checks: [stream], limits: {float32: 0.001}}
"""
RESULTS = b'{"format": "locant.canary/1", "cases": {"copy/1": {"right": true, "loss": 0.5}}}'
HISTORY = b"time,events,bad,incident\n1700000000,100,1,0\n1700000060,90,40,1\n1700000120,80,0,true\n"
DUMP = b'{__name__="x_total", path="a\\"b"} 3 1700000000000\n{__name__="x_total"} NaN 1700000060000\n'
INCIDENTS = b"start,end\n60,180\n2026-01-02T03:04:05Z,2026-01-02T04:04:05Z\n"
WORDS = (
    b"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1",
    b"Basic YTpi",
    b"[::1]:9466",
    b"1h30m",
    b"2026-01-02T03:04:05Z",
)
