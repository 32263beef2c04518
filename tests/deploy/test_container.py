"""What deploy/Containerfile and compose.yaml say, and what their command lines do as processes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.cli.programs import Program
from tests.deploy.containerfile import BUILD, LAST, ROOT, exec_form, values
from trio_mqtt import sync
from trio_mqtt.access import set_password

DATA, SETTINGS, HEALTH = "/var/lib/tmqtt", "/etc/tmqtt", "/run/tmqtt"
# What the broker in the container does by itself, and what that of compose.yaml does.
OWN, COMPOSED = "deploy/container.toml", "deploy/settings/broker.toml"


def compose() -> dict[str, Any]:
    text = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    assert list(services) == ["broker"]
    return dict(services["broker"])


def test_it_is_not_root_and_says_so_by_numbers() -> None:
    assert values("USER") == ["1883:1883"]
    instructions = [name for name, _ in LAST]
    # All that needs root comes before, and what starts comes after.
    assert max(n for n, name in enumerate(instructions) if name == "RUN") < instructions.index(
        "USER"
    )
    (made,) = values("RUN")
    assert "--uid 1883 --gid 1883" in made
    assert f"install -d -o tmqtt -g tmqtt -m 0700 {DATA} {HEALTH}" in made
    assert values("VOLUME") == [DATA]


def test_what_is_built_comes_without_what_built_it() -> None:
    brought = [value for name, value in LAST if name == "COPY"]
    assert brought == ["--from=build /opt/tmqtt /opt/tmqtt", f"{OWN} {SETTINGS}/broker.toml"]
    (built,) = [value for name, value in BUILD if name == "RUN"]
    assert "--without-pip /opt/tmqtt" in built
    copied = [word for name, value in BUILD if name == "COPY" for word in value.split()[:-1]]
    for name in copied:
        assert (ROOT / name).exists(), name
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for needed in re.findall(r'"((?:cli/)?\w+)"', metadata[metadata.index("packages = [") :])[:2]:
        assert needed.split("/")[0] in copied, needed


def test_the_base_is_the_same_each_time() -> None:
    text = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8")
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["${BASE} AS build", "${BASE}"]
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-[a-z]+", base)
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (labels,) = values("LABEL")
    assert f'image.licenses="{metadata["license"]}"' in labels


def test_the_build_is_given_what_it_copies_and_nothing_else() -> None:
    listed = (ROOT / "deploy/Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    given = {line[1:] for line in listed if line.startswith("!")}
    copied = {word for stage in (BUILD, LAST) for name, value in stage if name == "COPY"
              for word in value.split()[:-1] if not value.startswith("--from")}  # fmt: skip
    assert given == copied
    assert listed[1] == "*"


def test_both_files_name_the_same_places() -> None:
    service = compose()
    assert f"data:{DATA}" in service["volumes"]
    assert f"./settings:{SETTINGS}:ro" in service["volumes"]
    assert service["tmpfs"] == [f"{HEALTH}:uid=1883,gid=1883,mode=0700"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    composed, own = (tomllib.loads((ROOT / path).read_text()) for path in (COMPOSED, OWN))
    port = service["ports"][0].rpartition(":")[2]
    assert composed["listeners"][0]["url"].endswith(f":{port}")
    assert port in values("EXPOSE")[0].split()
    for settings in (composed, own):
        assert settings["storage"] == {"path": DATA}


# -- its command lines as processes ---------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """A folder of the test for each of the container's."""
    found = {}
    for place in (DATA, SETTINGS, HEALTH):
        folder = tmp_path / place.rpartition("/")[0].replace("/", "")
        folder.mkdir()
        found[place] = str(folder)
    return found


def moved(places: dict[str, str], text: str) -> str:
    """The same with the folders of the test."""
    for place, folder in places.items():
        text = text.replace(place, folder)
    return text


def words_in(places: dict[str, str], words: list[str]) -> list[str]:
    """The arguments of `tmqtt`, with the folders of the test."""
    assert words[0] == "tmqtt"
    return [moved(places, word) for word in words[1:]]


@contextmanager
def container(
    places: dict[str, str], *options: str, settings: str = OWN, host: str = "127.0.0.1"
) -> Iterator[Program]:
    """The broker as the container starts it, at free ports."""
    text = moved(places, (ROOT / settings).read_text(encoding="utf-8"))
    text, found = re.subn(r"0\.0\.0\.0:\d+", f"{host}:0", text)
    assert found == 1
    Path(places[SETTINGS], "broker.toml").write_text(text, encoding="utf-8")
    with Program(*words_in(places, [*exec_form("ENTRYPOINT"), *options])) as broker:
        yield broker


def health(places: dict[str, str]) -> int:
    words = words_in(places, exec_form("HEALTHCHECK"))
    return subprocess.run(
        [sys.executable, "-m", "tmqtt", *words], capture_output=True, timeout=60, check=False
    ).returncode


@pytest.mark.slow
def test_without_a_word_on_who_may_connect_it_does_not_start(places: dict[str, str]) -> None:
    assert not values("CMD")
    with container(places, host="0.0.0.0") as broker:  # noqa: S104 # it does not come to that
        assert broker.ended() == 1
    assert broker.err.text.startswith("Error: Anybody who can reach mqtt://0.0.0.0:0")
    assert "--password-file FILE" in broker.err.text


@pytest.mark.slow
def test_it_is_healthy_while_it_answers(places: dict[str, str]) -> None:
    users = Path(places[SETTINGS], "users")
    rules = Path(places[SETTINGS], "access.acl")
    set_password(users, "ann", b"right", create=True)
    rules.write_text("user ann\ntopic readwrite home/#\n")
    assert health(places) != 0
    options = ("--password-file", str(users), "--access-file", str(rules))
    with container(places, *options) as broker:
        url = broker.out.expect(r"Listening at (mqtt://\S+)\n")[1]
        broker.out.expect("Listening at unix:")
        assert health(places) == 0
        broker.out.expect(r"health connected from process \d+ of user")
        with sync.open_client(url, username="ann", password="right") as client:
            client.publish("home/lamp", "on", qos=1, retain=True)
        broker.process.send_signal(signal.SIGSTOP)
        assert health(places) != 0
        broker.process.send_signal(signal.SIGCONT)
        assert health(places) == 0
        assert broker.stop(signal.SIGTERM) == 0
    assert health(places) != 0
    assert {path.name for path in Path(places[DATA]).iterdir()} == {"broker.sqlite3"}


@pytest.mark.slow
def test_the_way_for_health_checks_is_for_its_own_user_alone(places: dict[str, str]) -> None:
    with container(places, "--no-anonymous") as broker:
        broker.out.expect("Listening at unix:")
        assert Path(places[HEALTH], "health.sock").stat().st_mode & 0o777 == 0o600
        url = broker.out.expect(r"Listening at (mqtt://\S+)\n")[1]
        with Program("pub", "a", "b", "-b", url) as pub:
            assert pub.ended() in (134, 135)


@pytest.mark.slow
def test_the_settings_of_compose_serve_users_by_tls(places: dict[str, str]) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost")
    settings = Path(places[SETTINGS])
    leaf.private_key_pem.write_to_path(str(settings / "server.key"))
    with (settings / "server.pem").open("wb") as chain:
        for part in leaf.cert_chain_pems:
            chain.write(part.bytes())
    ca.cert_pem.write_to_path(str(settings / "ca.pem"))
    set_password(settings / "users", "ann", b"right", create=True)
    with container(places, *compose().get("command", []), settings=COMPOSED) as broker:
        port = broker.out.expect(r"Listening at mqtts://127\.0\.0\.1:(\d+)\n")[1]
        broker.out.expect(r"may connect with a user name and a password\.\n")
        with Program(
            "pub", "a", "b", "-q", "1", "-b", f"mqtts://localhost:{port}",
            "--cafile", str(settings / "ca.pem"), "-u", "ann", "-P", "right",
        ) as pub:  # fmt: skip
            assert pub.ended() == 0, pub.err.text
        assert health(places) == 0
        set_password(settings / "users", "ann", b"new")
        broker.process.send_signal(signal.SIGHUP)
        broker.out.expect("The settings were read again")
        with socket.create_connection(("127.0.0.1", int(port))):
            assert broker.stop(signal.SIGTERM) == 0
