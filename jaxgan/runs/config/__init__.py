"""Configuration of an experiment: flags, presets, and experiments by name."""
