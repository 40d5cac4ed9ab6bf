"""Commands on a run, one function for each."""
