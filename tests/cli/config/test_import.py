"""`tmqtt config import`: what Mosquitto's configuration is here, and what it is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt import configuration


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(text: str, *options: str) -> tuple[int, str, str]:
    Path("m.conf").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["config", "import", "m.conf", *options], prog_name="tmqtt")
    return result.exit_code, result.stdout, result.stderr


def imported(text: str) -> tuple[dict[str, Any], list[str]]:
    """What comes of it, which must be a configuration of ours; and what is told."""
    code, out, err = run(text)
    assert code == 0, err
    Path("broker.toml").write_text(out, encoding="utf-8")
    configuration.load("broker.toml", environment={})
    head, *told = err.splitlines() or [HEAD]
    assert head == HEAD
    return tomllib.loads(out), [line.removeprefix("  ") for line in told]


LISTENER = "listener 1883 127.0.0.1\n"
HEAD = "In m.conf is not taken over, or another here:"


# -- listeners --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", ["mqtt://127.0.0.1:1883"]),
        ("port 1884\n", ["mqtt://0.0.0.0:1884"]),
        ("bind_address 10.0.0.1\n", ["mqtt://10.0.0.1:1883"]),
        ("port 1884\nbind_address ::1\n", ["mqtt://[::1]:1884"]),
        ("listener 1884\n", ["mqtt://0.0.0.0:1884"]),
        ("listener 1884\nsocket_domain ipv6\n", ["mqtt://[::]:1884"]),
        ("listener 1884 broker.lan # inside\n", ["mqtt://broker.lan:1884"]),
        ("listener 1884 # everywhere\n", ["mqtt://0.0.0.0:1884"]),
        ("listener 9001 ::1\nprotocol websockets\n", ["ws://[::1]:9001/*"]),
        ("listener 0 /run/a b.sock\n", ["unix:///run/a"]),
        ("listener 1 h\nlistener 2 h\n", ["mqtt://h:1", "mqtt://h:2"]),
        ("max_connections 5\n", ["mqtt://127.0.0.1:1883"]),
        ("max_connections 5\nlistener 1 h\n", ["mqtt://0.0.0.0:1883", "mqtt://h:1"]),
    ],
)
def test_where_it_listens(text: str, urls: list[str]) -> None:
    found, _ = imported(text)
    assert [one["url"] for one in found["listeners"]] == urls


def test_what_a_listener_has_of_its_own() -> None:
    found, _ = imported(
        LISTENER + "max_connections 50\nmax_qos 1\nmount_point site/\nmax_topic_alias 5\n"
        "listener_allow_anonymous true\nlistener 9001 h\nprotocol websockets\n"
        "websockets_origin https://a\nwebsockets_origin https://b\nenable_proxy_protocol 2\n"
    )
    one, two = found["listeners"]
    assert one["limits"] == {"maximum_connections": 50, "topic_alias_maximum": 5}
    assert (one["options"], one["mount_point"]) == ({"maximum_qos": 1}, "site/")
    assert one["allow_anonymous"] is True
    assert two["origins"] == ["https://a", "https://b"]
    assert two["proxy_protocol"] == ["0.0.0.0/0", "::/0"]


def test_tls() -> None:
    text = (
        "listener 8883 h\ncertfile /c.pem\nkeyfile /k.pem\ncafile /ca.pem\n"
        "require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.2\n"
    )
    found, told = imported(text)
    assert found["listeners"] == [
        {
            "url": "mqtts://h:8883",
            "tls": {
                "certificate": "/c.pem", "key": "/k.pem", "ca": "/ca.pem",
                "client_certificates": "required", "username": "common-name",
            },
        }
    ]  # fmt: skip
    assert told == []
    found, told = imported(text.replace("require_certificate true", "require_certificate false"))
    assert found["listeners"][0]["tls"] == {"certificate": "/c.pem", "key": "/k.pem"}
    assert told == [("line 4: cafile: no client is asked for a certificate, so it is not"
                    " needed.")]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "psk_hint here\npsk_file /keys\n",
        "mount_point site\n",
        "protocol http_api\n",
    ],
)
def test_a_listener_that_would_be_more_open_is_left_out(text: str) -> None:
    found, told = imported(LISTENER + text + "listener 1884 h\n")
    assert [one["url"] for one in found["listeners"]] == ["mqtt://h:1884"]
    assert any("the listener is left out" in line.lower() for line in told)


# -- access -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "access"),
    [
        ("", {"allow_anonymous": True}),
        ("password_file /p\n", {"allow_anonymous": True, "passwords": "/p"}),
        (LISTENER, {"allow_anonymous": False}),
        ("port 1883\n", {"allow_anonymous": False}),
        (LISTENER + "allow_anonymous true\n", {"allow_anonymous": True}),
        (
            "password_file /p w\nacl_file /a\nallow_anonymous false\n" + LISTENER,
            {"passwords": "/p w", "rules": "/a", "allow_anonymous": False},
        ),
        (
            "plugin /usr/lib/x/mosquitto_dynamic_security.so\nplugin_opt_config_file /d s.json\n",
            {"allow_anonymous": True, "dynamic": "/d s.json"},
        ),
    ],
)
def test_who_may_connect(text: str, access: dict[str, Any]) -> None:
    assert imported(text)[0]["access"] == access


def test_the_file_of_another_plugin_is_not_that_of_dynamic_security() -> None:
    plugins = "mosquitto_dynamic_security", "other"
    text = "".join(
        f"global_plugin /{name}.so\nplugin_opt_config_file /{name}\n" for name in plugins
    )
    found, told = imported(LISTENER + text)
    assert found["access"]["dynamic"] == "/mosquitto_dynamic_security"
    assert [line.split(": ")[1] for line in told] == ["global_plugin", "plugin_opt_config_file"]
    assert [line.split(": ")[0] for line in told] == ["line 4", "line 5"]


def test_access_of_each_listener() -> None:
    found, _ = imported(
        "per_listener_settings true\npassword_file /mine\nallow_anonymous true\n"
        "listener 1 h\nacl_file /a\nlistener 2 h\npassword_file /p\nallow_anonymous false\n"
    )
    assert "access" not in found
    assert [
        (one["url"], one["allow_anonymous"], one.get("access")) for one in found["listeners"]
    ] == [
        ("mqtt://0.0.0.0:1883", True, {"passwords": "/mine"}),
        ("mqtt://h:1", False, {"rules": "/a"}),
        ("mqtt://h:2", False, {"passwords": "/p"}),
    ]


# -- the rest ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "section", "settings"),
    [
        ("max_inflight_messages 5", "limits", {"maximum_in_flight": 5, "receive_maximum": 5}),
        ("max_inflight_messages 0", "limits",
         {"maximum_in_flight": 65_535, "receive_maximum": 65_535}),
        ("max_inflight_bytes 5000", "limits", {"maximum_in_flight_bytes": 5_000}),
        ("max_queued_messages 9", "limits", {"maximum_queued_messages": 9}),
        ("max_queued_bytes 9", "limits", {"maximum_queued_bytes": 9}),
        ("max_packet_size 20", "limits", {"maximum_packet_size": 64}),
        ("max_packet_size 5000", "limits", {"maximum_packet_size": 5_000}),
        ("message_size_limit 1000", "limits", {"maximum_packet_size": 66_550}),
        ("max_keepalive 60", "limits", {"maximum_keep_alive": 60}),
        ("max_keepalive 0", "limits", {"maximum_keep_alive": 65_535}),
        ("memory_limit 1000000", "limits", {"maximum_memory": 1_000_000}),
        ("global_max_connections 7", "limits", {"maximum_connections": 7}),
        ("global_max_clients 7", "limits", {"maximum_sessions": 7}),
        ("persistent_client_expiration 2w", "limits", {"maximum_session_expiry": 1_209_600}),
        ("persistent_client_expiration 999y", "limits", {"maximum_session_expiry": 4294967295}),
        ("retain_available false", "options", {"retain_available": False}),
        ("sys_interval 0", "options", {"system_topics_interval": 0}),
        ("log_dest file /var/log/a b.log", "logging", {"file": "/var/log/a b.log"}),
        ("log_dest syslog", "logging", {"destination": "syslog"}),
        ("log_type error\nlog_type notice\nlog_type warning", "logging", {"level": "info"}),
        ("log_type all", "logging", {"level": "debug"}),
        ("connection_messages false", "logging", {"levels": {"connections": "warning"}}),
        ("persistence true\npersistence_location /var/lib/m/", "storage",
         {"path": "/var/lib/m/tmqtt"}),
        ("persistence true", "storage", {"path": "tmqtt"}),
    ],
)  # fmt: skip
def test_what_maps(line: str, section: str, settings: dict[str, Any]) -> None:
    found, _ = imported(line + "\n")
    assert found[section] == settings


@pytest.mark.parametrize(
    "line",
    [
        "persistence false", "persistence_location /x", "memory_limit 0", "max_connections -1",
        "check_retain_source true", "queue_qos0_messages false", "auto_id_prefix auto-",
        "log_dest stderr", "allow_zero_length_clientid true", "tls_version tlsv1.2",
    ],
)  # fmt: skip
def test_what_is_so_in_any_case_is_not_told(line: str) -> None:
    found, told = imported(LISTENER + line + "\n")
    assert found == {
        "listeners": [{"url": "mqtt://127.0.0.1:1883"}], "access": {"allow_anonymous": False}
    }  # fmt: skip
    assert told == []


LOST = """
accept_protocol_versions 4, 5 | allow_duplicate_messages true | allow_zero_length_clientid false |
auth_plugin /x.so | auto_id_prefix me- | bind_interface eth0 | capath /certs | check_retain_source
false | ciphers X | ciphers_tls1.3 X | clientid_prefixes a- | crlfile /c |
disable_client_cert_date_checks true | enable_control_api true | global_plugin /x.so | http_dir /w |
listener_auto_id_prefix me- | log_dest none | log_dest topic | max_queued_bytes 0 |
max_queued_messages 0 | plugin /x.so | plugin_load x /x.so | plugin_opt_key value | plugin_use x |
proxy_protocol_v2_require_tls true | psk_file /k | queue_qos0_messages true | tls_engine x |
tls_keyform engine | upgrade_outgoing_qos true | use_username_as_clientid true
"""
OTHERWISE = """
autosave_interval 5 | autosave_on_changes true | dhparamfile /x | log_dest stdout | log_facility 3 |
log_timestamp true | log_timestamp_format %Y | packet_buffer_size 100 | persistence_file x.db |
pid_file /run/x | set_tcp_nodelay true | user mosquitto | websockets_headers_size 4096 |
websockets_log_level 5
"""


def lines_of(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.split("|")]


@pytest.mark.parametrize(
    "line",
    [
        "password_file users", "acl_file ./rules", "log_dest file broker.log",
        "persistence_location data/", "cafile ca.pem",
    ],
)  # fmt: skip
def test_a_path_that_counts_from_elsewhere_is_told(line: str) -> None:
    name = line.split()[0]
    _, told = imported(LISTENER + line + "\n")
    assert told[0] == (
        f"line 2: {name}: paths count from the folder of the new file, not from where the"
        " broker starts."
    )


@pytest.mark.parametrize("line", lines_of(LOST))
def test_what_is_not_taken_over_is_told_with_its_line(line: str) -> None:
    _, told = imported(LISTENER + line + "\n")
    (sentence,) = (each for each in told if each.startswith("line 2: "))
    assert sentence.startswith(f"line 2: {line.split()[0]}: ")
    assert sentence.endswith(".")
    code, out, err = run(LISTENER + line + "\n", "--strict")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].endswith("so nothing is written.")


@pytest.mark.parametrize("line", lines_of(OTHERWISE))
def test_what_is_otherwise_is_told_and_lacks_nothing(line: str) -> None:
    _, told = imported(LISTENER + line + "\n")
    assert told[0].startswith(f"line 2: {line.split()[0]}: ")
    assert run(LISTENER + line + "\n", "--strict")[0] == 0


def test_bridges_are_told_line_by_line() -> None:
    _, told = imported(
        LISTENER + "connection cloud\naddress example.org:8883\ntopic # both 0\nbridge_cafile /ca\n"
    )
    assert [line.split(": ")[1] for line in told] == [
        "connection cloud", "address", "topic", "bridge_cafile"
    ]  # fmt: skip
    assert told[1] == "line 3: address: goes with the bridge cloud."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_conections 5\n", ("m.conf, line 1: max_conections is no option of Mosquitto. Did you"
         " mean max_connections?")),
        ("xyzzy\n", "m.conf, line 1: xyzzy is no option of Mosquitto."),
        ("\n#x\nlistener\n", "m.conf, line 3: listener is a whole number, not ''."),
        ("listener 70000\n", "m.conf, line 1: listener is from 0 to 65,535, not 70,000."),
        ("listener 0\n", "m.conf, line 1: listener with port 0 needs the path of a Unix socket."),
        ("persistence maybe\n", "m.conf, line 1: persistence is true or false, not 'maybe'."),
        ("max_qos 3\n", "m.conf, line 1: max_qos is from 0 to 2, not 3."),
        ("protocol mqttsn\n", "m.conf, line 1: protocol is mqtt or websockets, not 'mqttsn'."),
        ("password_file\n", "m.conf, line 1: password_file needs a value."),
        ("persistent_client_expiration 5\n", ("m.conf, line 1: persistent_client_expiration is a"
         " number and one of h, d, w, m, y, not '5'.")),
        ("topic # both\n", "m.conf, line 1: topic is of a bridge, which begins with connection."),
        ("certfile /c\n", ("m.conf, line 1: certfile needs the other of certfile and keyfile beside"
         " it.")),
        ("log_type loud\n", "m.conf, line 1: log_type is one of "),
        ("include_dir /no/such\n", ("m.conf, line 1: include_dir '/no/such' cannot be read: No such"
         " file or directory.")),
    ],
)  # fmt: skip
def test_what_mosquitto_would_not_take_is_refused(text: str, sentence: str) -> None:
    code, out, err = run(text)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {sentence}")


def test_a_file_that_is_not_there_is_named() -> None:
    result = CliRunner().invoke(app, ["config", "import", "no.conf"], prog_name="tmqtt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: no.conf cannot be read: No such file or directory.\n"


def test_files_of_a_folder_are_included_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "b.conf").write_text("max_queued_messages 2\nlistener 2 h\n")
    (folder / "a.conf").write_text("max_queued_messages 1\nlistener 1 h\nmax_connections 5\n")
    (folder / "c.txt").write_text("nonsense\n")
    found, _ = imported(f"{LISTENER}include_dir {folder}\nmax_keepalive 9\n")
    assert [one["url"] for one in found["listeners"]] == [
        "mqtt://127.0.0.1:1883", "mqtt://h:1", "mqtt://h:2"
    ]  # fmt: skip
    assert found["limits"] == {"maximum_queued_messages": 2, "maximum_keep_alive": 9}
    (folder / "B.conf").write_text("max_queued_messages 4\n")  # before b.conf, behind a.conf
    assert imported(f"include_dir {folder}\n")[0]["limits"]["maximum_queued_messages"] == 2
    (folder / "e.conf").write_text("max_queued_messages 3\ncrlfile /c\n")
    _, out, err = run("include_dir conf.d\n")
    assert "maximum_queued_messages = 3  # conf.d/e.conf, line 1\n" in out
    assert "  conf.d/e.conf, line 2: crlfile: " in err
    (folder / "d.conf").write_text(f"include_dir {folder}\n")
    code, _, err = run(f"include_dir {folder}\n")
    assert code == 1
    assert err.endswith("d.conf, line 1: include_dir is for the main file only.\n")


def test_each_setting_names_its_line_and_the_file_tells_what_is_missing() -> None:
    _, out, err = run(LISTENER + "max_queued_messages 5\ncrlfile /c\n")
    assert "maximum_queued_messages = 5  # line 2" in out
    assert out.startswith("# From m.conf, by `tmqtt config import`.\n")
    assert f"# - {err.splitlines()[1].strip()}\n" in out


def test_output_goes_to_a_file_that_is_not_there_yet() -> None:
    code, out, err = run(LISTENER, "--output", "broker.toml")
    assert (code, out) == (0, "")
    assert err == "broker.toml is written. Try it: tmqtt config check broker.toml\n"
    assert configuration.load("broker.toml", environment={}).settings.listeners
    code, _, err = run(LISTENER, "-o", "broker.toml")
    assert (code, err) == (2, "Error: broker.toml exists already; it stays as it is.\n")
    code, _, err = run(LISTENER, "-o", "no/such.toml")
    assert (code, err) == (
        2, "Error: no/such.toml cannot be written: No such file or directory.\n"
    )  # fmt: skip


def test_strange_values_are_written_as_they_are() -> None:
    found, _ = imported('password_file /a "b"\\c \x7f\x1b\u00e4\n')
    assert found["access"]["passwords"] == '/a "b"\\c \x7f\x1b\u00e4'
    assert re.search(r"\\u001b", run("password_file /\x1b\n")[1])
