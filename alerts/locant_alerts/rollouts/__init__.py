"""Spec to the objects with which Argo Rollouts and Flagger stop a release that breaks its positional objectives."""
