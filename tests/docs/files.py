"""A folder with the files that pages speak of, so that what they show can be run there."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import trio_mqtt
from tests.cli.programs import Program
from trio_mqtt.access import set_password

# A password for each user that a page names.
USERS = ("alice", "ann", "ada")
_ACCESS = "user alice\ntopic readwrite home/#\ntopic deny home/safe\n"
_BROKER = '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n'


# What the commands of its page make.
_DYNAMIC = {
    "defaultACLAccess": {
        "publishClientSend": False,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    },
    "clients": [{"username": "lamp", "roles": [{"rolename": "sensors"}]}],
    "roles": [
        {
            "rolename": "sensors",
            "acls": [
                {
                    "acltype": "publishClientSend",
                    "topic": "sensors/#",
                    "priority": 0,
                    "allow": True,
                }
            ],
        }
    ],
}


@dataclass(frozen=True)
class Files:
    """A folder that has them."""

    folder: Path


def fill(folder: Path) -> None:
    """Make the files."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1", "broker.example")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    key, chain = server.private_key_pem, server.cert_chain_pems[0]
    server.private_key_and_cert_chain_pem.write_to_path(folder / "broker.pem")
    (folder / "broker.pem").chmod(0o600)
    for name in ("server", "chain", "me"):
        chain.write_to_path(folder / f"{name}.pem")
    _issue_token(folder)
    for name in ("server.key", "key.pem", "me.key"):
        key.write_to_path(folder / name)
        (folder / name).chmod(0o600)
    shutil.copy(folder / "ca.pem", folder / "devices.pem")
    for number, user in enumerate(USERS):
        set_password(folder / "users", user, b"secret", create=number == 0)
    for name in ("access", "access.acl", "devices.acl"):
        (folder / name).write_text(_ACCESS)
    shutil.copy(folder / "users", folder / "devices")
    (folder / "broker.toml").write_text(_BROKER)
    (folder / "mosquitto.conf").write_text("listener 1883 127.0.0.1\nallow_anonymous true\n")
    (folder / "dynamic-security.json").write_text(json.dumps(_DYNAMIC))
    (folder / "kept").mkdir()
    trio.run(_keep_something, folder / "kept")
    with Program("store", "export", str(folder / "kept")) as export:
        assert export.ended() == 0
    (folder / "tmqtt.jsonl").write_bytes(export.out.data)


def _issue_token(folder: Path) -> None:
    """A pair of keys, and a token that Alice has from whoever holds the private one."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "issuer.key").write_bytes(private)
    (folder / "issuer.pem").write_bytes(public)
    claims = {"sub": "alice", "aud": "mqtt", "exp": time.time() + 3_600}
    (folder / "token").write_text(jwt.encode(claims, private, "EdDSA"))


async def _keep_something(folder: Path) -> None:
    """As a broker that ran has left it."""

    storage = trio_mqtt.SqliteStorage(folder / "broker.sqlite3")
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", storage=storage) as broker:
        await broker.publish("home/lamp", "on", qos=1, retain=True)
