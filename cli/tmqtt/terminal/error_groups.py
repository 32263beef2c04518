"""Errors that nurseries have wrapped in groups."""

from __future__ import annotations


def first_of(error: BaseException) -> BaseException:
    """The first error that is not a group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
