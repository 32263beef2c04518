"""Where `async with` or `await` was forgotten, an error or a warning says what to write."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import trio_mqtt
from tests.client.fake_broker import FakeBroker
from trio_mqtt import open_client, sync

pytestmark = pytest.mark.anyio

SUBSCRIBE = r"`async with client\.subscribe\(\.\.\.\) as messages:`"


async def awaited(block: Any) -> None:  # noqa: ANN401 # used as what it is not
    await block


async def iterated(block: Any) -> None:  # noqa: ANN401 # used as what it is not
    async for _ in block:
        pass


async def iterated_plainly(block: Any) -> None:  # noqa: ANN401 # used as what it is not
    for _ in block:
        pass


async def entered_plainly(block: Any) -> None:  # noqa: ANN401 # used as what it is not
    with block:
        pass


@pytest.mark.parametrize("use", [awaited, iterated, iterated_plainly, entered_plainly])
async def test_a_block_that_is_used_otherwise_says_what_to_write(
    broker: FakeBroker, use: Callable[[Any], Any]
) -> None:
    async with broker.client() as client:
        with pytest.raises(TypeError, match=SUBSCRIBE):
            await use(client.subscribe("a"))
    with pytest.raises(
        TypeError, match=r"`async with trio_mqtt\.open_client\(\.\.\.\) as client:`"
    ):
        await use(broker.client())


async def test_so_does_one_whose_names_are_used_before(broker: FakeBroker) -> None:
    client: Any = broker.client()
    with pytest.raises(AttributeError, match=r"no 'publish' before.*`async with trio_mqtt\.open"):
        client.publish("a")
    client = sync.open_client("mqtt://localhost")
    with pytest.raises(AttributeError, match=r"no 'publish' before.*`with sync\.open_client\("):
        client.publish("a")
    with pytest.raises(TypeError, match=r"`with sync\.open_client\("):
        async with client:
            pytest.fail("it was entered")
    assert not hasattr(client, "__wrapped__")


async def test_one_that_is_dropped_warns_at_its_line(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with pytest.warns(RuntimeWarning, match=SUBSCRIBE) as caught:
            client.subscribe("a")
        assert [one.filename for one in caught] == [__file__]
        with pytest.warns(RuntimeWarning, match=r"`with client\.events\(\) as events:`"):
            client.events()
    with pytest.warns(RuntimeWarning, match=r"`with sync\.open_client\(\.\.\.\) as client:`"):
        sync.open_client()


async def test_one_that_is_entered_does_not(broker: FakeBroker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with broker.client() as client, client.subscribe("a"):
            with client.events():
                pass
        broker.down = True
        with pytest.raises(trio_mqtt.ConnectionFailedError):
            async with broker.client():
                pytest.fail("it was entered")
        gc.collect()


async def test_a_forgotten_await_is_pythons_to_tell(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with pytest.warns(RuntimeWarning, match=r"coroutine 'Client\.publish' was never awaited"):
            client.publish("a")  # type: ignore[unused-coroutine]  # that is the point


def test_they_look_like_the_functions_they_are() -> None:
    assert inspect.signature(open_client).parameters["client_id"].default == ""
    assert open_client.__name__ == "open_client"
    assert "publish" in (inspect.getdoc(open_client) or "")
