"""Command line: how flags are parsed and completed, and what the terminal shows."""
