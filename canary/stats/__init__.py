"""Arrays in, estimates out: numpy and scipy only, no clock, no file."""
