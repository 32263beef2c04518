"""What is made of settings: who may connect by SCRAM, and without the source of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trio_mqtt
from trio_mqtt.access import ScramCredentials, set_password
from trio_mqtt.configuration import InvalidConfiguration, check, description, load, schema
from trio_mqtt.configuration.description import find

LOCAL = '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n'
LISTEN = 'listeners = [{ url = "mqtt://127.0.0.1:0" }]\n'


@pytest.mark.trio
async def test_users_of_scram_have_passwords_or_what_is_made_of_them(tmp_path: Path) -> None:
    kept = ScramCredentials.of("his").text
    file = tmp_path / "broker.toml"
    file.write_text(
        f"{LISTEN}[access]\nauthentication_required = true\n"
        f'scram.users = {{ alice = "hers", bob = "{kept}" }}\n',
        encoding="utf-8",
    )
    configuration = load(file, environment={})
    assert "hers" not in repr(configuration.settings.access)
    async with configuration.open() as broker:
        for name, password in (("alice", "hers"), ("bob", "his")):
            proof = trio_mqtt.ScramClient(name, password)
            async with trio_mqtt.open_client(broker.url, authentication=proof):
                pass
        wrong = trio_mqtt.ScramClient("bob", kept)
        with pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError):
            async with trio_mqtt.open_client(broker.url, authentication=wrong, reconnect=False):
                pass


@pytest.mark.parametrize("text", ["SCRAM-SHA-256$", "SCRAM-SHA-256$4096:c2FsdA==$eA==:eA==", "x"])
def test_credentials_that_are_none_are_told(text: str) -> None:
    with pytest.raises(trio_mqtt.ConfigurationError, match=r"they read SCRAM-SHA-256\$ITERATIONS"):
        ScramCredentials.parse(text)


def test_credentials_are_the_same_by_their_text() -> None:
    known = ScramCredentials.of("secret")
    assert ScramCredentials.parse(known.text) == known
    assert "secret" not in known.text


def test_an_authenticator_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("[access]\nscram.users = { bob = 'SCRAM-SHA-256$x' }\n", encoding="utf-8")
    with pytest.raises(InvalidConfiguration, match=r"line 2: access.scram: These are no credent"):
        load(file, environment={}).make_parts()


@pytest.fixture
def _without_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(description, "attribute_docs", lambda cls: {})
    for cached in (description.root, description.section_of):
        cached.cache_clear()
    yield
    for cached in (description.root, description.section_of):
        cached.cache_clear()


@pytest.mark.usefixtures("_without_source")
def test_a_program_without_its_source_reads_quantities_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    text = "[limits]\nconnect_timeout = '1m'\nmaximum_packet_size = '1 MiB'\n"
    file.write_text(text, encoding="utf-8")
    limits = load(file, environment={}).settings.limits
    assert (limits.connect_timeout, limits.maximum_packet_size) == (60.0, 2**20)


def test_choices_say_what_each_of_them_means() -> None:
    setting, _ = find(["options", "shared_strategy"])
    assert setting is not None
    assert setting.doc.endswith('"sticky": The same for all messages, until it goes away.')


def test_the_schema_has_no_names_of_classes_for_titles() -> None:
    assert "SharedStrategy" not in str(schema())


@pytest.mark.posix
@pytest.mark.parametrize(
    ("text", "mode", "warns"),
    [
        ("[access.scram.users]\nalice = 'hers'\n", 0o644, True),
        ("[access.scram.users]\nalice = 'hers'\n", 0o640, False),
        (f"{LOCAL}access.scram.users.alice = 'hers'\n", 0o644, True),
        ("[limits]\nwrite_buffer = 1\n", 0o644, False),
        ("[plugins.hooks]\nfactory = 'a:b'\nsettings.key = 'x'\n", 0o644, True),
    ],
)
def test_secrets_that_everybody_can_read_are_warned_of(
    text: str, mode: int, warns: bool, tmp_path: Path
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    warnings = load(file, environment={}).warnings
    expected = f"Everybody on this machine can read the secrets in {file}: `chmod o= {file}`."
    assert warnings == ((expected,) if warns else ())


# -- of one listener --------------------------------------------------------------------------


async def may_connect(url: str, **options: Any) -> bool:
    try:
        async with trio_mqtt.open_client(url, reconnect=False, **options):
            return True
    except trio_mqtt.ConnectionRefusedByBrokerError:
        return False


@pytest.mark.trio
async def test_a_listener_has_users_of_scram_of_its_own(tmp_path: Path) -> None:
    set_password(tmp_path / "users", "alice", b"right", create=True)
    file = tmp_path / "broker.toml"
    file.write_text(
        f"{LOCAL}access.passwords = 'users'\n{LOCAL}access.authentication_required = true\n"
        f"[listeners.access.scram]\nusers = {{ alice = 'hers' }}\n{LOCAL}"
        "[access]\nauthentication_required = true\nscram.users = { alice = 'another' }\n",
        encoding="utf-8",
    )
    configuration = load(file, environment={})
    await check(configuration)
    async with configuration.open() as broker:
        ways = [
            [
                await may_connect(url, username="alice", password="right"),
                await may_connect(url, authentication=trio_mqtt.ScramClient("alice", "hers")),
                await may_connect(url, authentication=trio_mqtt.ScramClient("alice", "another")),
            ]
            for url in broker.urls
        ]
    assert ways == [[True, False, False], [False, True, False], [False, False, True]]


NOBODY = "authentication_required: nobody could connect, for there is no method of authentication"
NO_METHODS = f"""\
{LOCAL}access.authentication_required = true
[access]
authentication_required = true
"""


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            f"{LOCAL}access.scram.users = {{ bob = 'SCRAM-SHA-256$x' }}\n",
            ["line 3: listeners.0.access.scram: These are no credentials"],
        ),
        (
            NO_METHODS,
            [
                f"line 5: access.{NOBODY}: name users below access.scram, or",
                f"line 3: listeners.0.access.{NOBODY}: name users below listeners.0.access.scram,",
            ],
        ),
    ],
)
def test_methods_that_let_in_nobody_are_told_with_their_lines(
    text: str, problems: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as raised:
        load(file, environment={}).make_parts()
    told = [str(problem) for problem in raised.value.problems]
    assert len(told) == len(problems)
    for problem, one in zip(problems, told, strict=True):
        assert problem in one
