"""Payloads and files of descriptors as the real protoc makes them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tmqtt.messages.payload_formats import PayloadFormat

pytestmark = pytest.mark.interop

PLACES = """
syntax = "proto3";
package home;
message Place { string room = 1; sint32 floor = 2; }
"""
READINGS = """
syntax = "proto3";
package home;
import "places.proto";
import "google/protobuf/timestamp.proto";
enum Kind { AIR = 0; WATER = 1; }
message Reading {
  double value = 1;
  Kind kind = 2;
  Place place = 3;
  google.protobuf.Timestamp at = 4;
  repeated uint32 samples = 5;
  map<string, bytes> raw = 6;
  oneof state { bool open = 7; string fault = 8; }
  message Inner { fixed64 serial = 1; }
}
"""
# As protoc writes messages, and as JSON.
TEXT = b"""
value: 21.5 kind: WATER place { room: "K\xc3\xbcche" floor: -1 } at { seconds: 1764504000 }
samples: 1 samples: 300 raw { key: "a" value: "\\001\\377" } open: true
"""
SHOWN = {
    "value": 21.5,
    "kind": "WATER",
    "place": {"room": "Küche", "floor": -1},
    "at": "2025-11-30T12:00:00Z",
    "samples": [1, 300],
    "raw": {"a": "Af8="},
    "open": True,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "places.proto").write_text(PLACES)
    (tmp_path / "readings.proto").write_text(READINGS)
    return tmp_path


def protoc(folder: Path, *words: str, text: bytes = b"") -> bytes:
    program = shutil.which("protoc")
    assert program, "protoc is not installed: apt-get install protobuf-compiler."
    return subprocess.run(
        [program, *words, "readings.proto"],
        cwd=folder,
        input=text,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout


def test_what_protoc_describes_and_encodes_is_shown_and_made(folder: Path) -> None:
    protoc(folder, "--include_imports", "-o", "home.pb")
    of_readings = PayloadFormat("protobuf", str(folder / "home.pb"), "home.Reading")
    payload = protoc(folder, "--encode=home.Reading", text=TEXT)
    assert json.loads(of_readings.decode(payload)) == SHOWN
    ours = of_readings.encode(json.dumps(SHOWN).encode())
    assert protoc(folder, "--decode=home.Reading", text=ours) == protoc(
        folder, "--decode=home.Reading", text=payload
    )
    of_inner = PayloadFormat("protobuf", str(folder / "home.pb"), "home.Reading.Inner")
    serial = protoc(folder, "--encode=home.Reading.Inner", text=b"serial: 7")
    assert of_inner.decode(serial) == b'{"serial": "7"}'


def test_a_file_without_its_imports_is_told_how_to_be_made(folder: Path) -> None:
    protoc(folder, "-o", "home.pb")
    with pytest.raises(ValueError, match=r"lacks places\.proto, .* --include_imports"):
        PayloadFormat("protobuf", str(folder / "home.pb"), "home.Reading")
