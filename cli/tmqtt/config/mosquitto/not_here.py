"""Mosquitto's options that have no equal here, and what to do instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_CLOSED = (
    "Nobody is let in for its sake: give the users to a password file, and the rights to rules"
)

PLUGIN = f"plugins of Mosquitto are not loaded. {_CLOSED}, or write a hook."
PLUGIN_OPTION = "it is of a plugin, and goes with it."

# What is missing, by its name, with what to do instead.
LOST: dict[str, str] = {
    "accept_protocol_versions": "every version is served; a program's hook can refuse some.",
    "auth_plugin": PLUGIN,
    "auth_plugin_deny_special_chars": PLUGIN_OPTION,
    "bind_interface": "listen at the address of the interface instead.",
    "capath": "join the certificates of the folder in one file, and name that as tls.ca.",
    "ciphers": "TLS 1.2 has OpenSSL's defaults; set others for the whole system in openssl.cnf.",
    "ciphers_tls1.3": "TLS 1.3 has OpenSSL's defaults; set others in openssl.cnf.",
    "clientid_prefixes": "all identifiers are let in: have rules by %c, or a hook, refuse some.",
    "crlfile": "lists of withdrawn certificates are not read: give devices short-lived ones, or"
    " take away what their user may do.",
    "disable_client_cert_date_checks": "expired certificates are always refused.",
    "enable_control_api": "of $CONTROL there is dynamic security only, by access.dynamic.",
    "http_dir": "files are for a web server; it can hand on WebSocket to the broker's listener.",
    "mptcp": "connections are plain TCP, as those of a client of MPTCP can be.",
    "plugin_load": PLUGIN,
    "plugin_use": PLUGIN_OPTION,
    "proxy_protocol_v2_require_tls": "have the proxy refuse clients without TLS.",
    "psk_file": "TLS with pre-shared keys is not spoken: give devices certificates, or passwords.",
    "tls_engine": "keys are read from files; engines are not used.",
    "tls_engine_kpass_sha1": "keys are read from files; engines are not used.",
    "tls_keyform": "keys are read from files in PEM; engines are not used.",
    "use_username_as_clientid": "identifiers stay those of the clients. A session belongs to the"
    " user who has begun it: no other one can take it over.",
}

# What nobody will miss: it is as wanted in any case, or there is nothing that it could be about.
NEEDLESS: dict[str, str] = {
    "autosave_interval": "all that is acknowledged is kept at once; storage.durability says how.",
    "autosave_on_changes": "all that is acknowledged is kept at once; storage.durability says how.",
    "dhparamfile": "TLS needs none any more.",
    "log_facility": "syslog gets the lines as those of a daemon.",
    "log_timestamp": "each line has its time, but in the journal, which has its own.",
    "log_timestamp_format": "times are as in ISO 8601.",
    "packet_buffer_size": "there is no such buffer.",
    "persistence_file": "the storage's folder has its own files.",
    "pid_file": "systemd knows the process; `tmqtt service install` makes the unit.",
    "retain_expiry_interval": "nothing has to look for retained messages that have expired.",
    "retry_interval": "MQTT sends again when a client comes back, and only then.",
    "set_tcp_nodelay": "small packets are never held back.",
    "store_clean_interval": "what is not needed any more is let go at once.",
    "user": "start the broker as that user; `tmqtt service install` makes a unit that does.",
    "websockets_headers_size": "headers may have 16 KiB.",
    "websockets_log_level": "`[logging] levels.listeners` says how much is told.",
}

_BRIDGE = """
    address addresses bridge_alpn bridge_attempt_unsubscribe bridge_bind_address bridge_cafile
    bridge_capath bridge_certfile bridge_ciphers bridge_ciphers_tls1.3 bridge_identity
    bridge_insecure bridge_keyfile bridge_max_packet_size bridge_max_topic_alias bridge_mptcp
    bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_receive_maximum
    bridge_reload_type bridge_require_ocsp bridge_session_expiry_interval bridge_tcp_keepalive
    bridge_tcp_user_timeout bridge_tls_use_os_certs bridge_tls_version cleansession clientid
    idle_timeout keepalive_interval local_cleansession local_clientid local_password local_username
    notification_topic notifications notifications_local_only password remote_clientid
    remote_password remote_username restart_timeout round_robin start_type threshold topic
    try_private username
"""

# All that belongs to a bridge.
BRIDGE = frozenset(_BRIDGE.split())
NO_BRIDGES = (
    "this broker opens no connections of its own. A bridge works from its other end, where that is"
    " a Mosquitto, or as a program with two clients."
)


def unknown(name: str, known: Collection[str]) -> str:
    """What is wrong with a name that Mosquitto has not."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return "is no option of Mosquitto." + (f" Did you mean {near[0]}?" if near else "")
