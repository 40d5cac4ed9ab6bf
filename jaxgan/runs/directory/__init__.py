"""Files of a run directory: configuration, logs, lock, and exported runs."""
