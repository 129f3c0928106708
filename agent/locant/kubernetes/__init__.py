"""Locant in Kubernetes: the sidecar, its injection into manifests, and the objects around it."""
