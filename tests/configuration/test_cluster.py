"""The cluster in a configuration: what excludes what, and that no password of it is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.configuration.texts import sentences
from trio_mqtt.cluster.settings import Cluster, without_password
from trio_mqtt.configuration import (
    InvalidConfiguration,
    Override,
    check,
    differences,
    effective,
    load,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broker.toml"


def test_a_broker_belongs_to_none_unless_it_is_told_so() -> None:
    assert load(environment={}).settings.cluster is None


def test_it_is_a_table_of_its_own(file: Path) -> None:
    file.write_text(
        "[cluster]\nurl = 'redis://engine'\nlease = '30s'\nlog_bytes = '2 GiB'\nlog_age = '1d'\n"
        "password_file = 'engine.password'\n"
    )
    assert load(file, environment={"TMQTT_CLUSTER__NODE": "floor-2"}).settings.cluster == Cluster(
        url="redis://engine",
        node="floor-2",
        lease=30.0,
        log_bytes=2 * 1024**3,
        log_age=86_400.0,
        password_file=os.path.join(file.parent, "engine.password"),
    )


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("storage.path = 'data'", "storage is for a broker alone"),
        ("plugins.storage = 'house:Storage'", "plugins is to bring a storage"),
    ],
)
def test_an_engine_and_a_storage_exclude_each_other(file: Path, text: str, begins: str) -> None:
    (sentence,) = sentences(file, f"{text}\ncluster.url = 'redis://engine'")
    assert sentence.startswith(f"broker.toml, line 1: {begins}")
    assert "Leave out " in sentence
    assert "(--cluster URL)" in sentence


def test_what_is_missing_or_cannot_be_is_said(file: Path) -> None:
    (missing,) = sentences(file, "[cluster]\nnode = 'floor-2'")
    assert missing == (
        "broker.toml, line 1: cluster.url is missing. Where the engine is, Redis or Valkey."
    )
    (no_url,) = sentences(file, "[cluster]\nurl = 'http://ann:hunter2@engine'")
    assert no_url.startswith("broker.toml, line 2: cluster.url: 'http://ann:…@engine' does not")
    (wrong,) = sentences(file, "[cluster]\nurl = 'redis://engine'\nnode = 'floor 2'")
    assert wrong.startswith("broker.toml, line 3: cluster.node: Node 'floor 2' cannot be")


SECRET = "redis://tmqtt:hunter2@engine:6379/0"


def test_a_password_is_shown_nowhere(file: Path) -> None:
    file.write_text(f"[cluster]\nurl = '{SECRET}'\n")
    before = load(file)
    file.write_text("[cluster]\nurl = 'redis://engine'\npassword = 'hunter2'\n")
    after = load(file)
    shown = [
        *(str(held) for one in (before, after) for held in effective(one)),
        *map(str, differences(before, after)),
        *map(str, differences(after, before)),
        repr(before.settings),
        repr(after.settings),
    ]
    assert not [text for text in shown if "hunter2" in text]
    assert any("redis://tmqtt:…@engine:6379/0" in text for text in shown)


@pytest.mark.posix
@pytest.mark.skipif(os.name != "posix", reason="files have no modes")
def test_a_file_with_a_password_in_a_url_is_for_its_owner(file: Path) -> None:
    for url, is_secret in ((SECRET, True), ("redis://tmqtt@engine", False)):
        file.write_text(f"[cluster]\nurl = '{url}'\n")
        file.chmod(0o644)
        assert bool(load(file).warnings) == is_secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://engine:6379/0", "redis://engine:6379/0"),
        ("redis://ann@engine", "redis://ann@engine"),
        ("redis://:pass@engine", "redis://:…@engine"),
        ("rediss://ann:p@s/s@engine/1?cafile=a@b", "rediss://ann:…@engine/1?cafile=a@b"),
        ("redis+sentinel://a:b@one:1,two:2/main", "redis+sentinel://a:…@one:1,two:2/main"),
        ("unix:///run/engine.sock", "unix:///run/engine.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_check_reads_the_password_file(file: Path) -> None:
    missing = os.path.join(file.parent, "none")
    configuration = load(
        None,
        environment={},
        overrides=[
            Override("cluster.url", "redis://x"),
            Override("cluster.password_file", missing),
        ],
    )
    with pytest.raises(InvalidConfiguration, match=r"engine's password.*cannot be read") as raised:
        trio.run(check, configuration)
    assert raised.value.problems[0].setting == "cluster.password_file"


def test_a_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = load(environment={"TMQTT_CLUSTER__URL": "redis://engine"})
    trio.run(check, configuration)
    monkeypatch.setattr("trio_mqtt.configuration.checking.find_spec", lambda name: None)
    with pytest.raises(InvalidConfiguration, match=r"TMQTT_CLUSTER__URL: .*trio-mqtt\[cluster\]"):
        trio.run(check, configuration)
