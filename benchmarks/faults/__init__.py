"""Faults put into runs, checkpoints and files on purpose: `python -m benchmarks.faults --help`."""
