"""The thread of a storage answers whatever becomes of what it does between calls."""

from __future__ import annotations

import threading

import pytest
import trio

from trio_mqtt.storage.worker_thread import WorkerThread


async def test_calls_are_answered_after_a_defect_between_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = threading.Event()

    def between() -> float:
        failed.set()
        raise ValueError("a defect")

    thread = WorkerThread("tested", between)
    with trio.fail_after(60):
        assert await thread.run(lambda: 1) == 1
        assert await trio.to_thread.run_sync(failed.wait, 30)
        assert await thread.run(lambda: 2) == 2
        await thread.end(lambda: None)
    assert "What tested does between calls failed" in caplog.text
    assert "a defect" in caplog.text
