"""What pages show and no test runs here, each with its reason. Tests hold these tables to be short:
what nothing needs any more fails."""

from __future__ import annotations

# By the program's name. What `tmqtt` is asked for is taken apart in any case.
PROGRAMS = {
    "docker": "no container engine is here; tests/deploy/test_image.py does the image's steps",
    "systemctl": "no systemd is here; tests/cli/service checks what is given to it",
    "redis-server": "tests/cluster starts it, which runs apart",
    "mosquitto_ctrl": "tests/interop/test_dynamic_security.py runs it, where it is installed",
    "mosquitto_pub": "tests/interop/test_mosquitto_clients.py runs it, where it is installed",
    "protoc": "may not be here; tests/cli/messages makes descriptors without it",
    "openssl": "may not be here; what it makes, tests/docs/files.py makes",
    "curl": "may not be here; tests/web asks for the same",
    "jq": "may not be here, and is given what tests/cli looks at",
    "install": "writes where only root may",
    "chmod": "changes a file of the system's broker",
    "python3": "makes an environment or installs packages: .ci/run does it as README.md shows",
    "source": "is of the reader's shell",
    "export": "is of the reader's shell",
    "for": "is of the shell; what stands in the loop is looked at",
    "done": "is of the shell",
    "tail": "gives lines to a command, which is given others",
    "head": "takes lines of a command",
    "sort": "puts lines of a command in order",
    "tar": "packs files of the system's broker",
    "df": "shows disks",
    "journalctl": "no systemd is here",
    "git": "tags and sends the source",
    "nox": "runs tests and builds",
    "tee": "takes lines of a command",
}

# Commands of tmqtt, by what they begin with.
COMMANDS = {
    "tmqtt service": "asks systemd; tests/cli/service runs it",
    "tmqtt bench": "takes the machine for as long as it measures; tests/cli/bench runs it",
    "tmqtt cluster": "needs an engine; tests/cli/cluster runs it, apart",
    "tmqtt events": "shows nothing until something happens; tests/cli/administering runs it",
    "tmqtt sub home/# --payload-format protobuf": "protoc makes what it reads",
    "tmqtt drain": "needs an engine; tests/cli/drain runs it, apart",
}

# Whatever has these options.
OPTIONS = {
    "--cluster": "needs an engine; tests/cli/broker/test_cluster.py runs it, apart",
    "--workers": "needs an engine; tests/cli/broker/test_workers.py runs it",
}

# Blocks of plain text: by the name of the page and how they begin.
PLAIN = {
    ("cluster.md", "appendonly yes"): "settings of the engine",
    (
        "from-mosquitto.md",
        "In /etc/mosquitto",
    ): "tests/cli/config/test_import.py has such sentences",
    ("configuration.md", "Error: broker.toml"): "tests/test_docs.py has them said",
    ("configuration.md", "limits.maximum_connections is"): "tests/cli/broker/test_configuration.py",
    ("data.md", "Restored 12 sessions"): "tests/cli/broker/test_restoring.py has it said",
    ("design.md", "cli/tmqtt/"): "a map; the contracts of the linter hold it",
    ("design.md", "publisher's connection"): "a drawing",
    ("design.md", "publisher's node"): "a drawing",
    ("home-assistant.md", "homeassistant/status"): "what another program shows",
    ("zigbee2mqtt.md", "zigbee2mqtt/bridge/state"): "what another program shows",
    ("reverse-proxy.md", "frontend mqtt"): "no HAProxy is here; tests/interop has other proxies",
    ("reverse-proxy.md", "mqtt.example.org {"): "no Caddy is here",
    ("testing.md", "No message on"): "tests/testing has such sentences said",
    ("three-nodes.md", "bind 10.0.0.10"): "settings of the engine",
    ("esp32.md", "Backlog MqttHost"): "is typed into another program",
    ("monitoring.md", "2026-11-29T"): "tests/cli/broker/test_log.py has such lines",
    ("terminal.md", "2025-01-31T"): "tests/cli/broker/test_output.py has such lines",
}
# Blocks of these kinds.
KINDS = {
    "c": "no compiler for an ESP32 is here",
    "cpp": "no compiler for an ESP32 is here",
    "nginx": "no nginx is here; tests/interop/test_proxies.py has other proxies",
}

# Programs that import these are compiled, no more.
MODULES = {
    "umqtt": "is there on boards alone",
}
