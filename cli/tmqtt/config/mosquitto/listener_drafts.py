"""One listener of Mosquitto's, as it becomes one of ours."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from tmqtt.config.mosquitto.drafts import Note, Table
from tmqtt.config.mosquitto.statements import Statement

PORT = 1883
_EVERYWHERE = {"": "0.0.0.0", "ipv4": "0.0.0.0", "ipv6": "[::]"}  # noqa: S104  # as it is there
_ANYBODY = ["0.0.0.0/0", "::/0"]  # networks
_TLS_VERSIONS = ("tlsv1.1", "tlsv1.2", "tlsv1.3")


class ListenerDraft:
    """What the lines of one listener say, until all are read."""

    def __init__(self, place: str, port: int = PORT, host: str = "") -> None:
        self.place = place
        self.port = port
        self.host = host
        self.table = Table()
        # Whether anything was said of it, where nothing has to be.
        self.is_meant = False
        self._notes: list[Note] = []
        self._is_websocket = False
        self._domain = ""
        self._given: dict[str, Statement] = {}
        self._handlers: dict[str, Callable[[Statement], None]] = {
            "protocol": self._protocol,
            "socket_domain": self._socket_domain,
            "max_connections": self._max_connections,
            "max_qos": lambda one: self._number("options.maximum_qos", one, 0, 2),
            "maximum_qos": lambda one: self._number("options.maximum_qos", one, 0, 2),
            "max_topic_alias": lambda one: self._number(
                "limits.topic_alias_maximum", one, 0, 65_535
            ),
            "max_topic_alias_broker": lambda one: self._number(
                "limits.client_topic_alias_maximum", one, 0, 65_535
            ),
            "mount_point": self._mount_point,
            "websockets_origin": self._origin,
            "enable_proxy_protocol": self._proxy_protocol,
            "listener_allow_anonymous": lambda one: self.table.set(
                "allow_anonymous", one.truth(), one.place
            ),
        }
        for name in ("certfile", "keyfile", "cafile", "psk_hint", "tls_version"):
            self._handlers[name] = self._remember_text
        for name in (
            "require_certificate", "use_identity_as_username", "use_subject_as_username"
        ):  # fmt: skip
            self._handlers[name] = self._remember_truth

    @property
    def names(self) -> frozenset[str]:
        """The options that are a listener's."""
        return frozenset(self._handlers)

    def take(self, statement: Statement) -> None:
        """One of its lines."""
        self.is_meant = True
        self._handlers[statement.name](statement)

    # -- its lines ------------------------------------------------------------------------------

    def _remember_text(self, statement: Statement) -> None:
        statement.text()
        self._given[statement.name] = statement

    def _remember_truth(self, statement: Statement) -> None:
        if statement.truth():
            self._given[statement.name] = statement
        else:
            self._given.pop(statement.name, None)

    def _number(self, setting: str, statement: Statement, least: int, most: int) -> None:
        self.table.set(setting, statement.whole(least, most), statement.place)

    def _protocol(self, statement: Statement) -> None:
        protocol = statement.word
        if protocol == "http_api":
            self._note(statement, "there is no HTTP API: the listener is left out.")
            self._given["http_api"] = statement
        elif protocol not in ("mqtt", "websockets"):
            raise statement.wrong(f"is mqtt or websockets, not {statement.value!r}.")
        self._is_websocket = protocol == "websockets"

    def _socket_domain(self, statement: Statement) -> None:
        if statement.word not in ("ipv4", "ipv6"):
            raise statement.wrong(f"is ipv4 or ipv6, not {statement.value!r}.")
        self._domain = statement.word

    def _max_connections(self, statement: Statement) -> None:
        most = statement.whole()
        if most > 0:
            self.table.set("limits.maximum_connections", most, statement.place)
        elif most == 0:
            self._note(statement, "0 would let nobody in: leave the listener out.")

    def _mount_point(self, statement: Statement) -> None:
        mount_point = statement.text()
        if mount_point.endswith("/") and not mount_point.startswith("$"):
            self.table.set("mount_point", mount_point, statement.place)
            self._note(
                statement,
                "sessions are its own here too: a client has another one elsewhere.",
                is_lost=False,
            )
            return
        self._note(
            statement,
            f"a mount point is whole levels here, such as {mount_point + '/'!r}: topics would have"
            " other names. The listener is left out.",
        )
        self._given["mount_point"] = statement

    def _origin(self, statement: Statement) -> None:
        known = self.table.settings.get("origins")
        origins = list(known[0]) if known is not None and isinstance(known[0], list) else []
        self.table.set("origins", [*origins, statement.text()], statement.place)

    def _proxy_protocol(self, statement: Statement) -> None:
        statement.whole(1, 2)
        self.table.set("proxy_protocol", _ANYBODY, statement.place)
        self._note(
            statement,
            "anybody could say where they come from, as there: name the networks of the proxies.",
            is_lost=False,
        )

    def _note(self, statement: Statement, text: str, *, is_lost: bool = True) -> None:
        self._notes.append(Note(statement.place, f"{statement.name}: {text}", is_lost))

    # -- all of it ------------------------------------------------------------------------------

    def finish(self, *, is_local: bool, notes: list[Note]) -> Table | None:
        """The listener in our words; None if it is left out. `is_local`: for this machine alone."""
        notes += self._notes
        for name in ("http_api", "mount_point"):
            if name in self._given:
                return None
        for name in ("psk_hint",):
            if name in self._given:
                # Without TLS, it would let in everybody on the way.
                text = "TLS with pre-shared keys is not spoken: the listener is left out."
                notes.append(Note(self._given[name].place, f"{name}: {text}"))
                return None
        tls = self._tls(notes)
        url = self._url(is_tls=tls is not None, is_local=is_local, notes=notes)
        if url is None:
            return None
        table = Table()
        table.set("url", url, self.place)
        for part in (tls, self.table):
            if part is not None:
                table.settings |= part.settings
        if self._is_websocket and not table.has("origins"):
            table.set("origins", ["*"], "as in Mosquitto")
            text = "pages of all sites may connect, as in Mosquitto: `origins` can name some."
            notes.append(Note(self.place, text, is_lost=False))
        return table

    def _url(self, *, is_tls: bool, is_local: bool, notes: list[Note]) -> str | None:
        if self.port == 0:
            if is_tls or self._is_websocket:
                text = "a Unix socket has MQTT alone, without TLS or WebSocket: it is left out."
                notes.append(Note(self.place, text))
                return None
            return f"unix://{quote(self.host)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if not host:
            host = "127.0.0.1" if is_local else _EVERYWHERE[self._domain]
            if not self._domain:
                other = "[::1]" if is_local else "[::]"
                text = f"clients that come by IPv6 need a listener of their own, at {other}."
                notes.append(Note(self.place, text, is_lost=False))
        scheme = (
            ("wss" if is_tls else "ws") if self._is_websocket else "mqtts" if is_tls else "mqtt"
        )
        # Mosquitto takes WebSocket at any path.
        return f"{scheme}://{host}:{self.port}" + ("/*" if self._is_websocket else "")

    def _tls(self, notes: list[Note]) -> Table | None:
        given, tls = self._given, Table()
        certificate, key = given.get("certfile"), given.get("keyfile")
        if certificate is None or key is None:
            alone = certificate or key
            if alone is not None:
                raise alone.wrong("needs the other of certfile and keyfile beside it.")
            return None
        tls.set("tls.certificate", certificate.value, certificate.place)
        tls.set("tls.key", key.value, key.place)
        required, authorities = given.get("require_certificate"), given.get("cafile")
        if required is not None:
            if authorities is None:
                raise required.wrong("needs cafile: whose certificates are good.")
            tls.set("tls.ca", authorities.value, authorities.place)
            tls.set("tls.client_certificates", "required", required.place)
            for name, kind in (
                ("use_identity_as_username", "common-name"),
                ("use_subject_as_username", "subject"),
            ):
                if name in given:
                    tls.set("tls.username", kind, given[name].place)
        elif authorities is not None:
            text = "cafile: no client is asked for a certificate, so it is not needed."
            notes.append(Note(authorities.place, text, is_lost=False))
        version = given.get("tls_version")
        if version is not None:
            if version.word not in _TLS_VERSIONS:
                raise version.wrong(f"is one of {', '.join(_TLS_VERSIONS)}.")
            if version.word != "tlsv1.2":
                text = f"{version.word}: TLS 1.2 and 1.3 are spoken; openssl.cnf can say otherwise."
                is_lost = version.word == "tlsv1.3"
                notes.append(Note(version.place, f"tls_version: {text}", is_lost))
        return tls
