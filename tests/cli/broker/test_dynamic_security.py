"""`tmqtt broker` with dynamic security: by a file or an option, and not for several workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import Wire, broker_of
from tests.cli.programs import Run
from trio_mqtt.broker.access.files.hashes import make_hash
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

TOPIC = "$CONTROL/dynamic-security/v1"
CONFIGURATION = "access.dynamic = 'dynamic.json'\n[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the user admin, whose password is pw, and who may change all of it."""
    _, _, iterations, salt, digest = make_hash(b"pw", "pbkdf2").text.split("$")
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern")
    document = {
        "clients": [
            {
                "username": "admin", "roles": [{"rolename": "admin"}],
                "password": digest, "salt": salt, "iterations": int(iterations),
            }
        ],
        "roles": [
            {
                "rolename": "admin",
                "acls": [
                    {"acltype": kind, "topic": "$CONTROL/dynamic-security/#", "allow": True}
                    for kind in kinds
                ],
            }
        ],
    }  # fmt: skip
    path = tmp_path / "dynamic.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def create(url: str, username: str) -> None:
    """Create a user, as the admin, and wait until that is answered."""
    command = {"command": "createClient", "username": username, "password": "word"}
    with Wire(url, "admin", username="admin", password=b"pw") as client:
        assert client.subscribe(f"{TOPIC}/response") == 0
        assert client.publish(TOPIC, json.dumps({"commands": [command]}).encode()) == 0
        answer = client.expect(Publish)
        assert answer.payload == b'{"responses":[{"command":"createClient"}]}'


def may_connect(url: str, username: str, password: bytes) -> bool:
    with Wire(url, "c", username=username, password=password) as client:
        return client.connack.reason_code == ReasonCode.SUCCESS


@sees("access.dynamic")
def test_users_are_changed_while_it_runs(file: Path) -> None:
    with broker_of(CONFIGURATION, file.parent) as (broker, urls):
        assert not may_connect(urls[0], "new", b"word")
        create(urls[0], "new")
        assert may_connect(urls[0], "new", b"word")
        assert not may_connect(urls[0], "new", b"other")
        broker.out.expect("c disconnected")
        assert "createClient" not in broker.out.text  # nor the password that comes with it


def test_workers_cannot_have_it(file: Path, in_process: Run) -> None:
    ended = in_process("broker", "--workers", "2", "--dynamic-security", str(file))
    assert ended.code == 2
    assert "Dynamic security is a broker's own" in ended.err
