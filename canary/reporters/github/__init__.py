"""What GitHub shows of a run: a step's summary, annotations, outputs, one comment."""
