"""The shell around the pure path: load, run, evaluate, report."""
