"""The options by which a command connects: one table, from which all else follows.

An option may be given on the command line, as a variable (`TMQTT_` and its name in capitals), or in
a profile of the configuration file; the first of these counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tmqtt.connecting.property_values import user_property, whole_number
from tmqtt.terminal.figures import parse_duration, parse_seconds
from tmqtt.terminal.option import Option

FOREVER = 0xFFFF_FFFF  # a session expiry interval that never ends (MQTT 5.0 §3.1.2.11.2)

_WHERE = "Connection"
_WHO = "Authentication"
_SESSION = "Session and limits"
_WILL = "Will"
_TLS = "TLS"


def variable_of(option: Option) -> str:
    """The environment variable that sets an option as well."""
    return f"TMQTT_{option.key.upper()}"


# As Mosquitto's commands write them, too.
_VERSIONS = {
    "3.1": "3.1", "31": "3.1", "mqttv31": "3.1",
    "3.1.1": "3.1.1", "311": "3.1.1", "mqttv311": "3.1.1",
    "5": "5", "5.0": "5", "mqttv5": "5",
}  # fmt: skip


def _version(text: str) -> str:
    found = _VERSIONS.get(text)
    if found is None:
        raise ValueError(f"there is no MQTT {text!r} here: write 3.1, 3.1.1 or 5.")
    return found


def qos_of(text: str) -> int:
    """Raises ValueError for what is not a QoS."""
    if text not in ("0", "1", "2"):
        raise ValueError(f"there is no QoS {text!r}: write 0, 1 or 2.")
    return int(text)


def _session(text: str) -> int:
    return FOREVER if text == "forever" else parse_seconds(text, FOREVER - 1)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise ValueError(f"{text!r} is no header: write 'NAME: VALUE'.")
    return name.strip(), value.strip()


def _number(minimum: int, maximum: int) -> Callable[[str], int]:
    return partial(whole_number, minimum=minimum, maximum=maximum)


def _seconds(maximum: int) -> Callable[[str], int]:
    return partial(parse_seconds, maximum=maximum)


# fmt: off
OPTIONS = (
    Option(name="broker", short="-b", metavar="URL", group=_WHERE,
           help="The broker's address: mqtt://HOST:PORT, mqtts, ws, wss or unix (or tcp, ssl, tls);"
                " ?clientId=ID may follow. Several, with commas between, are tried in turn. "
                " [default: mqtt://localhost:1883]"),
    Option(name="host", metavar="HOST", group=_WHERE,
           help="The broker's host, in place of a URL; also -h HOST."),
    Option(name="port", short="-p", metavar="PORT", group=_WHERE, read=_number(1, 65_535),
           help="The broker's port.  [default: 1883, with TLS 8883]"),
    Option(name="protocol-version", short="-V", metavar="3.1|3.1.1|5", group=_WHERE, read=_version,
           help="MQTT version.  [default: 5, and 3.1.1 where the broker refuses 5]"),
    Option(name="proxy", metavar="URL", group=_WHERE,
           help="Go through a proxy: socks5://HOST:1080, http://HOST:8080, or env for the one that"
                " ALL_PROXY names."),
    Option(name="connect-timeout", metavar="DURATION", group=_WHERE, read=parse_duration,
           help="How long an attempt to connect may take.  [default: 10s]"),
    Option(name="bind-address", short="-A", metavar="ADDRESS", group=_WHERE,
           help="Connect from this address of this machine, which says by which network."),
    Option(name="wait", short="-w", group=_WHERE, deniable=True,
           help="Wait for a broker that is not there yet, or give up.  [default: wait in a"
                " terminal, where the command goes on until it is ended]"),
    Option(name="ws-header", also="ws-headers", metavar="NAME: VALUE", group=_WHERE,
           repeats=True, read=_header,
           help="A header of the request by which a WebSocket begins. May be repeated."),
    Option(name="keep-alive", short="-k", metavar="DURATION", group=_WHERE, read=_seconds(65_535),
           help="Ask whether the broker is there after so much silence; 0 never.  [default: 60s]"),
    Option(name="id", short="-i", metavar="ID", group=_WHO,
           help="Client identifier. By default a new one."),
    Option(name="username", short="-u", metavar="NAME", group=_WHO, help="User name."),
    Option(name="password", short="-P", metavar="PASSWORD", group=_WHO,
           help="Password; - asks for it. Others on this machine can see what stands here: ask,"
                " or use a file or the variable."),
    Option(name="password-file", metavar="FILE", group=_WHO,
           help="Take the password from the first line of a file."),
    Option(name="scram", group=_WHO,
           help="Prove to know the password (SCRAM-SHA-256), instead of sending it."),
    Option(name="session", metavar="DURATION", group=_SESSION, read=_session,
           help="Have the broker keep the session so long after the connection: 10m, forever."),
    Option(name="clean-start", group=_SESSION,
           help="With --session: forget an earlier session first."),
    Option(name="receive-maximum", metavar="N", group=_SESSION, read=_number(1, 65_535),
           help="Messages of QoS 1 and 2 that the broker may send unacknowledged."),
    Option(name="maximum-packet-size", metavar="BYTES", group=_SESSION,
           read=_number(1, 0xFFFF_FFFF), help="The largest packet that is accepted."),
    Option(name="topic-alias-maximum", metavar="N", group=_SESSION, read=_number(0, 65_535),
           help="How many topic aliases the broker may use."),
    Option(name="request-response-information", group=_SESSION,
           help="Ask the broker for response information."),
    Option(name="no-problem-information", group=_SESSION,
           help="Ask the broker for no explanations of its refusals."),
    Option(name="connect-user-property", metavar="NAME=VALUE", group=_SESSION, repeats=True,
           read=user_property, help="A user property of CONNECT. May be repeated."),
    Option(name="tls", group=_TLS,
           help="With --host: connect by TLS. A URL says it by mqtts:// or wss://."),
    Option(name="cafile", metavar="FILE", group=_TLS,
           help="Authorities to trust instead of the system's (PEM, or a directory of such)."),
    Option(name="cert", metavar="FILE", group=_TLS, help="The client's own certificate (PEM)."),
    Option(name="key", metavar="FILE", group=_TLS,
           help="Its private key, if it is in a file of its own."),
    Option(name="key-password", metavar="PASSWORD", group=_TLS,
           help="What opens the key. Better a variable, or a profile."),
    Option(name="server-name", metavar="NAME", group=_TLS,
           help="The name that the broker's certificate bears, where it is not the host."),
    Option(name="alpn", metavar="PROTOCOL", group=_TLS, repeats=True,
           help="An application protocol to offer. May be repeated."),
    Option(name="insecure", group=_TLS,
           help="Take any certificate, which anybody on the way can make: for tests only."),
    Option(name="will-topic", metavar="TOPIC", group=_WILL,
           help="Where the broker publishes a message if this end is lost."),
    Option(name="will-payload", metavar="TEXT", group=_WILL, read=_bytes, help="That message."),
    Option(name="will-qos", metavar="0|1|2", group=_WILL, read=qos_of,
           help="Its quality of service."),
    Option(name="will-retain", group=_WILL, help="Have it kept for new subscribers."),
    Option(name="will-delay", metavar="DURATION", group=_WILL, read=_seconds(0xFFFF_FFFF),
           help="How long the broker waits before it publishes."),
    Option(name="will-expiry", metavar="DURATION", group=_WILL, read=_seconds(0xFFFF_FFFF),
           help="How long the message is worth delivering."),
    Option(name="will-content-type", metavar="TYPE", group=_WILL, help="What the payload is."),
    Option(name="will-text", group=_WILL, help="Mark the payload as UTF-8 text."),
    Option(name="will-response-topic", metavar="TOPIC", group=_WILL, help="Where to answer."),
    Option(name="will-correlation-data", metavar="TEXT", group=_WILL, read=_bytes,
           help="What an answer shall carry."),
    Option(name="will-user-property", metavar="NAME=VALUE", group=_WILL, repeats=True,
           read=user_property, help="A user property of the will. May be repeated."),
)
# fmt: on
BY_NAME = {option.name: option for option in OPTIONS}

# Those that only a connection by TLS has, and the names of the library for them.
TLS_OPTIONS = {
    "cafile": "ca",
    "cert": "certificate",
    "key": "key",
    "key-password": "key_password",
    "server-name": "server_name",
    "alpn": "alpn",
    "insecure": "verify",
}

# The option's name and that of the property it sets, of CONNECT and of the will.
CONNECT_PROPERTIES = {
    "receive-maximum": "receive_maximum",
    "maximum-packet-size": "maximum_packet_size",
    "topic-alias-maximum": "topic_alias_maximum",
    "connect-user-property": "user_property",
}
WILL_PROPERTIES = {
    "will-delay": "will_delay_interval",
    "will-expiry": "message_expiry_interval",
    "will-content-type": "content_type",
    "will-response-topic": "response_topic",
    "will-correlation-data": "correlation_data",
    "will-user-property": "user_property",
}
