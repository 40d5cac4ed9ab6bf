"""Training session of a run, with everything that happens between steps."""
