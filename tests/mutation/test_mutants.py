"""Mutants are what they say, and are in force for whoever calls the function."""

from __future__ import annotations

import types
from pathlib import Path

from tests.mutation.mutants import mutants
from tests.mutation.switching import functions_of, switch

SOURCE = '''
class Bounds:
    """Of a range."""

    def __init__(self, most):
        self.most = most

    @property
    def is_open(self):
        """Whether there is room."""
        if self.most:
            assert self.most > 0
        return self.most < 7

    @is_open.setter
    def is_open(self, value):
        self.most = 1 if value else 9
'''
CHANGES = [
    "6 Bounds.__init__: self.most = most  ->  self.most = None",
    "11 Bounds.is_open: if self.most  ->  if not self.most",
    "13 Bounds.is_open: return self.most < 7  ->  return None",
    "13 Bounds.is_open: self.most < 7  ->  self.most <= 7",
    "13 Bounds.is_open: 7  ->  8",
    "17 Bounds.is_open: self.most = 1 if value else 9  ->  self.most = None",
    "17 Bounds.is_open: 1 if value else 9  ->  1 if not value else 9",
    "17 Bounds.is_open: 1  ->  2",
    "17 Bounds.is_open: 9  ->  10",
]


def test_each_change_is_told() -> None:
    assert [str(mutant) for mutant in mutants(SOURCE, "bounds.py")] == CHANGES


def test_a_mutant_is_in_force_wherever_the_function_was_taken_from(tmp_path: Path) -> None:
    module = types.ModuleType("bounds")
    module.__file__ = str(tmp_path / "bounds.py")
    exec(compile(SOURCE, module.__file__, "exec"), vars(module))  # noqa: S102 # what is above
    bounds = module.Bounds(7)
    by_change = dict(zip(CHANGES, mutants(SOURCE, module.__file__), strict=True))
    assert not bounds.is_open
    assert switch(functions_of(module), by_change[CHANGES[3]])
    assert bounds.is_open
    assert switch(functions_of(module), by_change[CHANGES[7]])
    bounds.is_open = True
    assert bounds.most == 2
