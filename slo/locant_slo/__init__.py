"""The ground floor of Locant: values, words and arithmetic that every room shares.

Nothing here imports torch, an exporter or grafanalib, and nothing here does I/O except `load`.
"""
