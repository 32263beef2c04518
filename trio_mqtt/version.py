"""The version: this is the one place that says it, and the package's metadata take it from here.

The other way round, whoever needs it would read the metadata, for which Python loads more than a
client takes to publish.
"""

__version__ = "0.1.0"
