"""`python -m canary`."""

from canary.cli import entry

if __name__ == "__main__":
    entry()
