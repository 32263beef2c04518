"""The tests, run once to learn which of them reach which function, then again on each mutant."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Literal

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.switching import functions_of, switch

Outcome = Literal["noticed", "survived", "hung", "not reached", "not made"]
Told = Callable[[Mutant, Outcome], None]
# A mutant may loop for ever. Its tests get so many seconds, and so many times what they take of the
# processor alone.
_AT_LEAST = 60.0
_TIMES = 20.0


class Rounds:
    """A plugin of pytest that runs the tests many times instead of once."""

    def __init__(
        self, modules: list[str], tell: Told, longest: float, only: frozenset[str] | None
    ) -> None:
        self._modules = modules
        self._tell = tell
        self._only = only  # these mutants, where it is known
        self._longest = (
            longest  # seconds of the processor for each mutant, the shortest tests first
        )
        self._taken: dict[pytest.Item, float] = {}  # of the processor: others may be at work, too
        self._reaching: dict[tuple[str, str, int], list[pytest.Item]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Have Hypothesis stop at an example that fails: to look for a smaller one takes long."""
        from hypothesis import Phase, settings  # which pytest is to load first

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("tests"), phases=phases)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests as they are, and those that reach a mutant on each mutant."""
        files = {str(import_module(name).__file__): name for name in self._modules}
        for item in session.items:
            self._learn(item, files)
            if session.testsfailed:
                raise pytest.Session.Failed("A test fails on what is not changed")
        for path, name in files.items():
            functions = functions_of(sys.modules[name])
            for mutant in mutants(Path(path).read_text(encoding="utf-8"), path):
                if self._only is not None and str(mutant) not in self._only:
                    continue
                self._tell(mutant, self._outcome(session, path, functions, mutant))
        return True

    def _learn(self, item: pytest.Item, files: dict[str, str]) -> None:
        seen: set[CodeType] = set()
        reached: set[tuple[str, str, int]] = set()

        def look(frame: FrameType, event: str, _argument: object) -> None:
            code = frame.f_code
            if event == "call" and code not in seen:
                seen.add(code)
                if code.co_filename in files:
                    qualname = code.co_qualname.partition(".<locals>")[0]
                    reached.add((code.co_filename, qualname, code.co_firstlineno))

        begin = time.process_time()
        threading.setprofile(look)
        sys.setprofile(look)
        try:
            _run(item)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        self._taken[item] = time.process_time() - begin
        for one in reached:
            self._reaching[one].append(item)

    def _outcome(
        self,
        session: pytest.Session,
        path: str,
        functions: dict[tuple[str, int], FunctionType],
        mutant: Mutant,
    ) -> Outcome:
        items = sorted(
            self._reaching[path, mutant.function, mutant.begins], key=lambda one: self._taken[one]
        )
        if not items:
            return "not reached"
        chosen = list(self._within(items))
        bound = _AT_LEAST + _TIMES * sum(self._taken[item] for item in chosen)
        child = os.fork()
        if not child:
            _be_tested(session, chosen, lambda: switch(functions, mutant))
        return _ended(child, bound)

    def _within(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        """As many of them as may be run."""
        left = self._longest
        for item in items:
            left -= self._taken[item]
            if left < 0:
                return
            yield item


def _be_tested(
    session: pytest.Session, items: list[pytest.Item], begin: Callable[[], bool]
) -> None:
    """In a fork: become a mutant, run tests until one fails, and end."""
    code = 2
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        session.config.pluginmanager.unregister(name="terminalreporter")
        if begin():
            code = 0
            for item in items:
                _run(item)
                if session.testsfailed:
                    code = 1
                    break
    except BaseException:
        code = 1
    finally:
        os._exit(code)


def _run(item: Any) -> None:  # noqa: ANN401 # pytest's hooks have no types
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def _ended(child: int, bound: float) -> Outcome:
    end = time.monotonic() + bound
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            outcomes: dict[int, Outcome] = {0: "survived", 2: "not made"}
            return outcomes.get(os.waitstatus_to_exitcode(status), "noticed")
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"
