"""Specs of others: OpenSLO v1 and Sloth prometheus/v1, in and out.

Each format is read from plain YAML values into the content of a `slo.yaml`, which `locant_slo.load` then judges as if a
person had written it. What a format says and we cannot carry is a note with its path, never a silence.
"""
