"""Mosquitto's configuration as one of ours: what each option means here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tmqtt.config.mosquitto import not_here
from tmqtt.config.mosquitto.drafts import Draft, Note, Table
from tmqtt.config.mosquitto.listener_drafts import PORT, ListenerDraft
from tmqtt.config.mosquitto.statements import Statement, read

_SECTIONS = ("access", "limits", "options", "storage", "logging")
_UNITS = {"s": 1, "h": 3_600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}
_LONGEST = 0xFFFF_FFFF  # seconds: for ever
_LEAST_PACKET = 64  # bytes that must be allowed
_HEADER = 65_550  # bytes before the payload of a PUBLISH, at most: its topic above all
# Where 0 is no bound there, and there is one here by default.
_NO_BOUND = ("max_inflight_bytes", "max_queued_bytes", "max_queued_messages")
_LEVELS = {  # what is asked for, and the level that shows it, from quiet to loud
    "none": "error",
    "error": "error",
    "warning": "warning",
    "notice": "info",
    "information": "info",
    "subscribe": "info",
    "unsubscribe": "info",
    "websockets": "info",
    "debug": "debug",
    "internal": "debug",
    "all": "debug",
}
_LOUDNESS = ["error", "warning", "info", "debug"]
_PATHS = ("acl_file", "cafile", "certfile", "keyfile", "password_file", "persistence_location",
          "plugin_opt_config_file")  # fmt: skip
_DYNAMIC = "mosquitto_dynamic_security"  # in the name of the one plugin that has its equal here


def import_file(path: Path) -> Draft:
    """What `path` says, in our words. Raises WrongLineError for what Mosquitto would not take."""
    importer = _Importer(str(path))
    for statement in read(path):
        importer.take(statement)
    return importer.finish()


class _Importer:
    """Takes one line after the other, as Mosquitto does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._sections = {name: Table() for name in _SECTIONS}
        self._notes: list[Note] = []
        self._default = ListenerDraft("as in Mosquitto")
        self._listeners: list[ListenerDraft] = []
        # Whose the lines are that belong to a listener, or a bridge.
        self._listener = self._default
        self._bridge = ""
        self._is_per_listener = False
        self._is_dynamic = False  # the plugin that options are of
        self._names_an_address = False
        self._says_anonymous = False
        self._handlers: dict[str, Callable[[Statement], None]] = {
            "listener": self._on_listener,
            "port": self._on_port,
            "bind_address": self._on_bind_address,
            "per_listener_settings": self._on_per_listener,
            "allow_anonymous": self._on_anonymous,
            "password_file": lambda one: self._access("passwords", one),
            "acl_file": lambda one: self._access("rules", one),
            "plugin": self._on_plugin,
            "global_plugin": self._on_plugin,
            "plugin_opt_config_file": self._on_plugin_file,
            "connection": self._on_connection,
            "persistence": self._on_persistence,
            "retained_persistence": self._on_persistence,
            "persistence_location": self._remember,
            "persistent_client_expiration": self._on_expiration,
            "max_inflight_messages": self._on_in_flight,
            "max_keepalive": self._on_keep_alive,
            "max_packet_size": self._on_packet_size,
            "message_size_limit": self._on_message_size,
            "global_max_clients": lambda one: self._bound("maximum_sessions", one),
            "global_max_connections": lambda one: self._bound("maximum_connections", one),
            "max_inflight_bytes": lambda one: self._bound("maximum_in_flight_bytes", one),
            "max_queued_bytes": lambda one: self._bound("maximum_queued_bytes", one),
            "max_queued_messages": lambda one: self._bound("maximum_queued_messages", one),
            "memory_limit": lambda one: self._bound("maximum_memory", one),
            "retain_available": lambda one: self._set(
                "options", "retain_available", one.truth(), one
            ),
            "sys_interval": lambda one: self._set(
                "options", "system_topics_interval", one.whole(0, 65_535), one
            ),
            "log_dest": self._on_log_destination,
            "log_type": self._on_log_type,
            "connection_messages": self._on_connection_messages,
        }  # fmt: skip
        # What is as we do in any case where it says so, and what is missing where it does not.
        for name, usual, otherwise in (
            ("allow_duplicate_messages", False, "a message comes once to each session."),
            ("allow_zero_length_clientid", True, "a client without an identifier is given one."),
            ("check_retain_source", True, "who published a retained message is always checked."),
            ("queue_qos0_messages", False, "messages of QoS 0 never wait for who is away."),
            ("upgrade_outgoing_qos", False, "the standard forbids it (MQTT 5.0 §3.8.4)."),
        ):  # fmt: skip
            self._handlers[name] = self._usual(usual, otherwise)
        for name in ("auto_id_prefix", "listener_auto_id_prefix"):
            self._handlers[name] = self._on_prefix
        self._remembered: dict[str, Statement] = {}

    @property
    def _known(self) -> set[str]:
        return {
            *self._handlers, *self._default.names, *not_here.LOST, *not_here.NEEDLESS,
            *not_here.BRIDGE, "include_dir",
        }  # fmt: skip

    def take(self, statement: Statement) -> None:
        """The next line."""
        if statement.begins_file:
            self._listener, self._bridge = self._default, ""
        name = statement.name
        self._look_at_path(statement)
        if name in self._handlers:
            self._handlers[name](statement)
        elif name in self._listener.names:
            self._listener.take(statement)
        elif name in not_here.BRIDGE:
            if not self._bridge:
                raise statement.wrong("is of a bridge, which begins with connection.")
            self._note(statement, f"goes with the bridge {self._bridge}.")
        elif name.startswith(("auth_opt_", "plugin_opt_")):
            self._note(statement, not_here.PLUGIN_OPTION)
        elif name in not_here.LOST:
            self._note(statement, not_here.LOST[name])
        elif name in not_here.NEEDLESS:
            self._note(statement, not_here.NEEDLESS[name], is_lost=False)
        else:
            raise statement.wrong(not_here.unknown(name, self._known))

    def _look_at_path(self, statement: Statement) -> None:
        """Tell of a path that leads elsewhere here."""
        kind, _, rest = statement.value.partition(" ")
        path = ""
        if statement.name in _PATHS:
            path = statement.value
        elif statement.name == "log_dest" and kind == "file":
            path = rest.strip()
        if path and not Path(path).is_absolute():
            text = "paths count from the folder of the new file, not from where the broker starts."
            self._note(statement, text, is_lost=False)

    def _note(self, statement: Statement, text: str, *, is_lost: bool = True) -> None:
        self._notes.append(Note(statement.place, f"{statement.name}: {text}", is_lost))

    def _set(self, section: str, name: str, value: bool | int | str, statement: Statement) -> None:
        self._sections[section].set(name, value, statement.place)

    def _remember(self, statement: Statement) -> None:
        self._remembered[statement.name] = statement

    def _usual(self, usual: bool, otherwise: str) -> Callable[[Statement], None]:
        def take(statement: Statement) -> None:
            if statement.truth() is not usual:
                self._note(statement, otherwise)

        return take

    # -- listeners ------------------------------------------------------------------------------

    def _on_listener(self, statement: Statement) -> None:
        port = statement.whole(0, 65_535)
        host = statement.value.partition(" ")[2].strip(" ").split(" ")[0]
        host = "" if host.startswith("#") else host
        if port == 0 and not host:
            raise statement.wrong("with port 0 needs the path of a Unix socket.")
        self._listener = ListenerDraft(statement.place, port, host)
        self._listeners.append(self._listener)

    def _on_port(self, statement: Statement) -> None:
        self._listener = self._default
        self._default.port = statement.whole(1, 65_535)
        self._default_is_at(statement)

    def _on_bind_address(self, statement: Statement) -> None:
        self._listener = self._default
        self._default.host = statement.text()
        self._default_is_at(statement)

    def _default_is_at(self, statement: Statement) -> None:
        self._default.place = statement.place
        self._default.is_meant = self._names_an_address = True

    def _on_connection(self, statement: Statement) -> None:
        self._bridge = statement.text()
        self._notes.append(
            Note(statement.place, f"connection {self._bridge}: {not_here.NO_BRIDGES}")
        )

    # -- access ---------------------------------------------------------------------------------

    def _on_per_listener(self, statement: Statement) -> None:
        self._is_per_listener = statement.truth() or self._is_per_listener

    def _on_anonymous(self, statement: Statement) -> None:
        if self._is_per_listener:
            self._listener.is_meant = True
            self._listener.table.set("allow_anonymous", statement.truth(), statement.place)
        else:
            self._set("access", "allow_anonymous", statement.truth(), statement)

    def _access(self, name: str, statement: Statement) -> None:
        if self._is_per_listener:
            self._listener.is_meant = True
            self._listener.table.set(f"access.{name}", statement.text(), statement.place)
        else:
            self._set("access", name, statement.text(), statement)

    def _on_plugin(self, statement: Statement) -> None:
        self._is_dynamic = _DYNAMIC in Path(statement.value).name
        if not self._is_dynamic:
            self._note(statement, not_here.PLUGIN)
        elif self._is_per_listener and statement.name == "plugin":
            text = "dynamic security is for all listeners that have no access of their own."
            self._note(statement, text, is_lost=False)

    def _on_plugin_file(self, statement: Statement) -> None:
        if self._is_dynamic:
            self._set("access", "dynamic", statement.text(), statement)
        else:
            self._note(statement, not_here.PLUGIN_OPTION)

    def _on_prefix(self, statement: Statement) -> None:
        if statement.value != "auto-":
            self._note(statement, "identifiers that the broker gives begin with auto-.")

    # -- bounds ---------------------------------------------------------------------------------

    def _bound(self, name: str, statement: Statement) -> None:
        most = statement.whole()
        if most > 0:
            self._set("limits", name, most, statement)
        elif statement.name in _NO_BOUND:
            self._note(statement, f"limits.{name} stays at its default: 0 is no bound there.")

    def _on_in_flight(self, statement: Statement) -> None:
        most = statement.whole(most=65_535)
        most = 65_535 if most <= 0 else most
        self._set("limits", "maximum_in_flight", most, statement)
        self._set("limits", "receive_maximum", most, statement)

    def _on_keep_alive(self, statement: Statement) -> None:
        most = statement.whole(0, 65_535)
        self._set("limits", "maximum_keep_alive", most or 65_535, statement)

    def _on_packet_size(self, statement: Statement) -> None:
        most = statement.whole(20)
        if most < _LEAST_PACKET:
            self._note(statement, f"{_LEAST_PACKET} bytes are the least here.", is_lost=False)
        self._set("limits", "maximum_packet_size", max(most, _LEAST_PACKET), statement)

    def _on_message_size(self, statement: Statement) -> None:
        most = statement.whole(0, 268_435_455)
        if most and not self._sections["limits"].has("maximum_packet_size"):
            self._set("limits", "maximum_packet_size", min(most + _HEADER, 268_435_455), statement)
            text = "packets are bounded here, topic and all, so somewhat more of payload is let in."
            self._note(statement, text, is_lost=False)

    def _on_expiration(self, statement: Statement) -> None:
        found = re.fullmatch(r"(\d+)([shdwmy])", statement.word)
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not seconds:
            raise statement.wrong(f"is a number and one of h, d, w, m, y, not {statement.value!r}.")
        self._set("limits", "maximum_session_expiry", min(seconds, _LONGEST), statement)

    # -- storage and log ------------------------------------------------------------------------

    def _on_persistence(self, statement: Statement) -> None:
        if statement.truth():
            self._remembered["persistence"] = statement
        else:
            self._remembered.pop("persistence", None)

    def _storage(self) -> None:
        wanted, location = (
            self._remembered.get(name) for name in ("persistence", "persistence_location")
        )
        if wanted is None:
            return
        folder = "" if location is None else location.value.rstrip("/") + "/"
        self._set("storage", "path", f"{folder}tmqtt", location or wanted)
        self._note(
            wanted, "what Mosquitto has kept (mosquitto.db) is not taken over.", is_lost=False
        )

    def _on_log_destination(self, statement: Statement) -> None:
        kind, _, rest = statement.value.partition(" ")
        if kind == "file":
            if not rest.strip():
                raise statement.wrong("file needs the name of the file.")
            self._set("logging", "file", rest.strip(), statement)
        elif kind == "syslog":
            self._set("logging", "destination", "syslog", statement)
        elif kind in ("stderr", "stdout"):
            if kind == "stdout":
                self._note(statement, "the log goes to stderr.", is_lost=False)
        elif kind == "none":
            self._note(statement, "the log goes to stderr; systemd or a shell can discard it.")
        elif kind == "topic":
            self._note(statement, "the log does not go to $SYS; metrics and events tell programs.")
        elif kind in ("dlt", "android"):
            self._note(statement, "the log goes to stderr, a file, the journal or syslog.")
        else:
            raise statement.wrong(f"is stdout, stderr, syslog, file or topic, not {kind!r}.")

    def _on_log_type(self, statement: Statement) -> None:
        level = _LEVELS.get(statement.word)
        if level is None:
            raise statement.wrong(f"is one of {', '.join(_LEVELS)}, not {statement.value!r}.")
        known = self._sections["logging"].settings.get("level")
        loudest = -1 if known is None else _LOUDNESS.index(str(known[0]))
        if _LOUDNESS.index(level) > loudest:
            self._set("logging", "level", level, statement)

    def _on_connection_messages(self, statement: Statement) -> None:
        if not statement.truth():
            self._set("logging", "levels.connections", "warning", statement)

    # -- all of it ------------------------------------------------------------------------------

    def finish(self) -> Draft:
        """The configuration, once all lines were taken."""
        self._storage()
        if self._sections["logging"].has("file") and self._sections["logging"].has("destination"):
            del self._sections["logging"].settings["destination"]
            self._notes.append(Note("", "log_dest: of several, the file is taken."))
        is_local = not self._listeners and not self._names_an_address
        drafts = self._listeners
        if self._default.is_meant or not drafts:
            drafts = [self._default, *drafts]
            if self._default.place == "as in Mosquitto":
                self._default.port = PORT
        self._anonymous(drafts, is_local)
        tables = [draft.finish(is_local=is_local, notes=self._notes) for draft in drafts]
        listeners = [table for table in tables if table is not None]
        if not listeners:
            text = "no listener is left: what comes of it would listen at mqtt://127.0.0.1:1883."
            self._notes.append(Note("", text))
        return Draft(self._path, listeners, self._sections, self._notes)

    def _anonymous(self, drafts: Iterable[ListenerDraft], is_local: bool) -> None:
        """Say what Mosquitto takes for granted of clients that prove nothing."""
        why = "as in Mosquitto, where " + (
            "no listener is named" if is_local else "a listener is named"
        )
        if not self._is_per_listener:
            if not self._sections["access"].has("allow_anonymous"):
                self._sections["access"].set("allow_anonymous", is_local, why)
            return
        for draft in drafts:
            if not draft.table.has("allow_anonymous"):
                draft.table.set("allow_anonymous", is_local, why)
