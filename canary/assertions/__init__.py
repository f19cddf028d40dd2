"""Assertions: (prompt, response) in, one grade out.

To add one: a file here, a line in `table.ASSERTIONS`, a test file.
"""

from canary.assertions.plugin import load_plugins, plugin_version
from canary.assertions.spec import parse
from canary.assertions.table import ASSERTIONS

__all__ = ["ASSERTIONS", "load_plugins", "parse", "plugin_version"]
