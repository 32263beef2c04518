"""The version of the installed package: its metadata is the one place that says it."""

from importlib.metadata import version

__version__ = version("trio-mqtt")
