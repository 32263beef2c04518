"""Variables of the environment that are named like settings, and are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tmqtt.connecting.table import OPTIONS, variable_of
from tmqtt.connecting.variables import idle_variables

from tests.cli.programs import Program, Run


def test_what_is_a_setting_somewhere_is_not_told_of() -> None:
    known = {variable_of(option): "x" for option in OPTIONS}
    known |= {"TMQTT_CONFIG": "x", "TMQTT_PROFILE": "x", "TMQTT_BROKER_CONFIG": "x"}
    known |= {"TMQTT_LIMITS__NO_SUCH": "told by who reads it", "TMQTT_NOTHING": ""}
    known |= {"OTHER_DATA": "x", "TMQTT_PORT_1883_TCP_ADDR": "10.0.0.1"}
    known |= {"TMQTT_SERVICE_HOST": "10.0.0.1", "TMQTT_SERVICE_PORT_MQTT": "1883"}
    assert not list(idle_variables(known))


def test_a_client_tells_of_what_it_was_not_told(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMQTT_USER", "ann")
    ended = in_process("pub", "a/+", "b")
    assert ended.err.splitlines()[0] == (
        "Warning: The variable TMQTT_USER is no setting: it changes nothing."
        " Did you mean TMQTT_USERNAME?"
    )


def test_a_check_of_the_configuration_tells_of_them(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMQTT_DATA", "/data")
    ended = in_process("config", "check")
    assert ended.code == 0
    assert "Warning: The variable TMQTT_DATA is no setting: it changes nothing." in ended.err


@pytest.mark.slow
def test_the_broker_says_what_may_be_meant(tmp_path: Path) -> None:
    given = {
        "TMQTT_DATA": os.fspath(tmp_path),
        "TMQTT_LIMITS_MAXIMUM_CONNECTIONS": "5",
        "TMQTT_PASSWORD_FILE": "users",
    }
    log = tmp_path / "log"
    with Program(
        "broker", "mqtt://127.0.0.1:0", "--log-file", str(log), environment=given
    ) as broker:
        broker.out.expect("Listening")
        assert broker.stop() == 0
    shown = broker.err.text
    for text in (shown, log.read_text(encoding="utf-8")):
        assert "TMQTT_DATA is no setting: it changes nothing. Did you mean TMQTT_STORAGE__P" in text
        assert "Did you mean TMQTT_LIMITS__MAXIMUM_CONNECTIONS?" in text
        assert "The broker's password file is TMQTT_ACCESS__PASSWORDS." in text
