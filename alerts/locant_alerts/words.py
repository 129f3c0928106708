"""What alerts say: annotations with numbers, usual causes, the next step and the runbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from locant_slo import names
from locant_slo.catalogue import Label, labels
from locant_slo.findings import FailureMode
from locant_slo.spec import Objective, Spec


@dataclass(frozen=True, slots=True)
class Advice:
    """The usual causes of a fault and the first thing to do about it."""

    causes: str
    step: str


FAULTS: Mapping[FailureMode, Advice] = {
    FailureMode.LENGTH_OVERFLOW: Advice(
        "a prompt plus its answer longer than the trained length, a missing truncation, a scaling factor lost on load",
        "cap the length at the gateway and compare the configuration's trained length with the release before",
    ),
    FailureMode.BATCH_MIXUP: Advice(
        "positions taken from one row for the whole batch, or counted on across requests after a batching change",
        "serve with batch size one: if that heals it, roll the batching change back",
    ),
    FailureMode.PADDING_LEAKAGE: Advice(
        "the attention mask lost or its dtype changed, left padding without position ids, a pad id that is real text",
        "check that the tokenizer's mask reaches the model, then pad on the side that the model was trained with",
    ),
    FailureMode.STREAMING_STATE: Advice(
        "a cache not rolled back after a rejected draft or a retry, a chunk fed twice, eviction that moves positions",
        "turn off prefix caching, speculation and eviction one at a time until it stops",
    ),
    FailureMode.PRECISION: Advice(
        "rotary tables or ALiBi slopes cast to half precision with the rest of the model, or computed there",
        "keep inverse frequencies and slopes in float32 and compare the tables with the reference",
    ),
    FailureMode.CRAFTED_INPUT: Advice(
        "a request made to exceed positions or lengths, a client that sends its own position ids",
        "find the client by the gateway's log, limit its length and refuse position ids from outside",
    ),
    FailureMode.RESOURCE_REGRESSION: Advice(
        "positional tables or masks that grow with the longest request, a quadratic mask materialised again",
        "compare memory and latency by length with the release before, then roll back",
    ),
    FailureMode.WRONG_PARAMETERS: Advice(
        "theta, scaling or slopes unlike the checkpoint's, a renamed configuration field, buffers left uninitialised",
        "compare the configuration's checksum with the release before and reload the checkpoint",
    ),
    FailureMode.SEGMENT_MIXUP: Advice(
        "token types missing or swapped for sentence pairs, a tokenizer that no longer returns them",
        "check that token type ids reach the model for pair inputs",
    ),
    FailureMode.ATTENTION_GEOMETRY: Advice(
        "a sliding window off by one or lost, a causal mask not applied, another attention back end",
        "switch the attention implementation back and compare outputs on one prompt",
    ),
}


def runbook_url(spec: Spec, name: str) -> str:
    """Where the runbook of that name is read."""
    return f"{spec.runbook_url.rstrip('/')}/{name}.md"


def literal(text: str) -> str:
    """Somebody's own words in the annotation or the label of an alert, where `{{` would begin a template."""
    return text.replace("{{", '{{ "{{" }}')


def shown(label: Label | str) -> str:
    """An alert template that prints one label of the alert."""
    return "{{ $labels." + (label if isinstance(label, str) else label.name) + " }}"


def says(spec: Spec, summary: str, description: str, runbook: str, *, board: str = "oncall") -> dict[str, str]:
    """The annotations that every alert has. `dashboard` is a path: Grafana's address is not known here."""
    return {
        "summary": summary,
        "description": description,
        "runbook_url": runbook_url(spec, runbook),
        "dashboard": f"/d/{names.dashboard_uid(board, spec.service)}",
    }


def subject(spec: Spec, objective: Objective) -> str:
    """Whom an alert of an objective is about: the values of its group, or the service where there is none."""
    return " ".join(shown(label) for label in objective.group) or spec.service


SUBJECT = f"{shown(labels.MODEL)} {shown(labels.MODEL_VERSION)}"
PERCENT = "{{ $value | humanizePercentage }}"
COUNT = '{{ $value | printf "%.0f" }}'
AGE = "{{ $value | humanizeDuration }}"
