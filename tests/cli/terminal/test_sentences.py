"""What a failure reads like."""

from __future__ import annotations

import pytest
from tmqtt.terminal.sentences import CommandError, tell

import trio_mqtt


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nothing answers", "Nothing answers."),
        ("mqtts://h needs a certificate.", "mqtts://h needs a certificate."),
        ("server.pem cannot be read", "server.pem cannot be read."),
        ("is it there?", "Is it there?"),
    ],
)
def test_it_is_a_sentence_that_leaves_names_as_they_are(
    text: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert tell(CommandError(text, 7)) == 7
    assert capfd.readouterr().err == f"Error: {sentence}\n"


def test_the_librarys_parameters_are_the_commands_options(
    capfd: pytest.CaptureFixture[str],
) -> None:
    tell(trio_mqtt.ConnectionFailedError("Name its certificate as `ca` of TlsOptions."))
    assert capfd.readouterr().err == "Error: Name its certificate as --cafile.\n"
