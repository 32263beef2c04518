"""Whose turn it is in an exchange of AUTH packets (MQTT 5.0 §4.12), whatever they carry."""

from __future__ import annotations

from trio_mqtt.protocol.packets import Auth, ConnAck
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.states import State

# What is wrong with AUTH, or with a CONNACK that names a method, after a CONNECT that names none.
NO_METHOD = "AUTH must not be sent, as CONNECT named no authentication method"
OTHER_METHOD = "CONNACK does not name the authentication method of CONNECT"


class Authentication:
    """Where the authentication of one connection stands, seen alike from both ends.

    Until CONNACK it is in progress.
    """

    __slots__ = ("_again", "_challenged", "_method")

    def __init__(self, method: str) -> None:
        """`method` is the authentication method that CONNECT names."""
        self._method = method
        self._again = False  # the client has begun again, and is not told the end yet
        self._challenged = False  # the server's AUTH waits for the client's

    def connack_problem(self, packet: ConnAck) -> str | None:
        """What keeps CONNACK from ending it, or None."""
        method = packet.properties.get("authentication_method")
        if method != self._method and not (method is None and packet.reason_code.is_failure):
            return OTHER_METHOD
        return None

    def ended(self) -> None:
        """CONNACK was sent or received."""
        self._challenged = False

    def problem(self, packet: Auth, state: State, *, from_client: bool) -> str | None:
        """What keeps AUTH from being sent now, or None (§4.12).

        The two take turns: the server continues, the client answers that, and so on until CONNACK,
        or until AUTH says success where it was the client who began again.
        """
        code = packet.reason_code
        if from_client:
            allowed = (code == ReasonCode.CONTINUE_AUTHENTICATION and self._challenged) or (
                code == ReasonCode.RE_AUTHENTICATE and state is State.CONNECTED and not self._again
            )
        else:
            allowed = not self._challenged and (
                (code == ReasonCode.SUCCESS and self._again)
                or (
                    code == ReasonCode.CONTINUE_AUTHENTICATION
                    and (state is State.CONNECTING or self._again)
                )
            )
        if not allowed or state is State.DISCONNECTED:
            return f"AUTH ({code.sentence}) must not be sent now"
        # Success without properties has no place for the method (§3.15.2.1).
        if packet.properties.get("authentication_method") != self._method and (
            packet.properties or code != ReasonCode.SUCCESS
        ):
            return "AUTH does not name the authentication method of CONNECT"
        return None

    def went_on(self, packet: Auth, *, from_client: bool) -> None:
        """AUTH was sent or received."""
        self._challenged = not from_client and packet.reason_code != ReasonCode.SUCCESS
        if packet.reason_code != ReasonCode.CONTINUE_AUTHENTICATION:
            self._again = packet.reason_code == ReasonCode.RE_AUTHENTICATE
