"""The Prometheus operator's objects against its custom resource definitions, closed: a field they do not know fails.

The definitions come as pydantic models, generated from the operator's own release 0.80.1 by cloudcoil (PyPI). Such a
model drops what it does not know; so the object must come out as it went in.
"""

from __future__ import annotations

from typing import Any


def validate(document: dict[str, Any]) -> None:
    """Raises ValidationError or AssertionError when the operator would not take the object as it stands."""
    from cloudcoil.models.prometheus_operator import v1, v1alpha1

    kinds = {
        "monitoring.coreos.com/v1": (v1.PodMonitor, v1.PrometheusRule),
        "monitoring.coreos.com/v1alpha1": (v1alpha1.AlertmanagerConfig,),
    }
    models = {(version, model.__name__): model for version, found in kinds.items() for model in found}
    model = models[document["apiVersion"], document["kind"]].model_validate(document)
    assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == document
