"""Benchmarks: what is fast, measured side by side, run as `python -m benchmarks.NAME`."""
