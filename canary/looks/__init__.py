"""Looks at a run before its end. Methods and levels: docs/statistics.md, "Stopping early"."""
