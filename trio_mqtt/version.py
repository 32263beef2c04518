"""The version: this is the one place that says it, and the package's metadata take it from here.

The other way round, whoever needs it would read the metadata, for which Python loads more than a
client takes to publish.
"""

import os
from importlib.machinery import ExtensionFileLoader, PathFinder

__version__ = "0.1.0"

_found = PathFinder.find_spec("decoding", [os.path.join(os.path.dirname(__file__), "protocol")])

# Whether the modules on the path of a message are compiled, or pure Python as all others are.
is_compiled = _found is not None and isinstance(_found.loader, ExtensionFileLoader)
