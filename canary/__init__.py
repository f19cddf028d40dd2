"""May this candidate replace the baseline?"""

__version__ = "0.1.0"
