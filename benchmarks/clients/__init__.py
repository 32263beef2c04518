"""Comparing clients for Python: `python -m benchmarks.clients`."""
