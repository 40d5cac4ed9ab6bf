"""Programs that tests start in processes of their own, each of which prints a line of JSON."""
