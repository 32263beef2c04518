"""What a test that hangs waits in: beside the stacks of its threads, those of Trio's tasks."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest
import pytest_timeout  # type: ignore[import-untyped]  # it has no types
import trio


def waiting_tasks() -> str:
    """Where each task of this thread's loop waits; nothing where none runs."""
    try:
        tasks = [trio.lowlevel.current_root_task()]
    except RuntimeError:
        return ""
    told = []
    for task in tasks:
        if task is not None:
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
            frames = traceback.StackSummary.extract(task.iter_await_frames())
            told.append(f"Task {task.name}\n{''.join(frames.format())}")
    return "".join(told)


def tell_tasks_as_time_is_up(patch: pytest.MonkeyPatch) -> None:
    """From now on a test whose time is up says where its tasks wait."""
    end = pytest_timeout.timeout_sigalrm

    def tell_and_end(*arguments: Any) -> None:
        sys.stderr.write(waiting_tasks())
        end(*arguments)

    patch.setattr(pytest_timeout, "timeout_sigalrm", tell_and_end)
