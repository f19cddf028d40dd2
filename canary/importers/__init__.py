"""What was written for other tools, read into a workspace."""
