"""What a cluster's settings may be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from trio_mqtt import Cluster, ConfigurationError


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"name": ""}, "name of a cluster cannot be empty"),
        ({"name": "a{b}"}, "cannot be: it has 1 to 64 letters"),
        ({"node": "a/b"}, "cannot be"),
        ({"timeout": 5.1}, "half of lease"),
        ({"lease": 0}, "lease cannot be 0"),
        ({"lease": math.inf}, "lease cannot be inf"),
        ({"replicas": -1}, "replicas cannot be -1"),
        ({"log_messages": 0}, "log_messages cannot be 0"),
        ({"password": "a", "password_file": "b"}, "exclude each other"),
    ],
)
def test_what_cannot_be_is_told(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        Cluster(url="redis://localhost", **settings)


@pytest.mark.parametrize(
    "settings", [{"lease": "10"}, {"log_messages": 1.5}, {"replicas": True}, {"name": 7}]
)
def test_what_is_of_another_kind_is_told(settings: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Cluster(url="redis://localhost", **settings)


def test_a_password_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("first\n")
    cluster = Cluster(url="redis://localhost", password_file=str(path))
    assert cluster.current_password() == "first"
    path.write_text("second\n")
    assert cluster.current_password() == "second"
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        cluster.current_password()


def test_a_node_is_called_as_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "_floor 2.example/x")
    assert Cluster(url="redis://localhost").node_name == "floor-2.example-x"
    assert Cluster(url="redis://localhost", node="a").node_name == "a"
    assert Cluster(url="redis://localhost", log_age=math.inf).log_age == math.inf
