"""Asking a running broker by its HTTP API: at a URL, or at the Unix socket beside its data."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from tmqtt.terminal.sentences import CommandError

SOCKET = "admin.sock"
# OpenSSL's X509_V_ERR_…: the ways in which a certificate fails verification.
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_HOST = frozenset({62, 64})
# What a request in the clear meets where HTTPS is spoken.
_WITHOUT_ANSWER = (http.client.BadStatusLine, ConnectionResetError, BrokenPipeError)
_PATIENCE = 30.0  # seconds that an answer may take; streams say something twice in that time
_PROBE = 10.0  # seconds that a handshake may take


class _SocketConnection(http.client.HTTPConnection):
    """A connection by a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("broker", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(errno.EAFNOSUPPORT, "this system has no Unix sockets")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Told(dict[str, Any]):
    """What an answer says, by names; what it does not say is told as what is wrong with it."""

    def __missing__(self, name: str) -> NoReturn:
        raise CommandError(
            f"What answers is no broker of this version: {name!r} is missing in what it says."
        )


class Api:
    """The API of one broker. Its methods wait: call them in a thread. They raise CommandError."""

    def __init__(
        self, place: str, token: str | None, authorities: ssl.SSLContext | None = None
    ) -> None:
        """By https, who answers is one of the `authorities`, or of the system's."""
        self._place = place
        self._authorities = authorities
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str, asked: Mapping[str, object]) -> dict[str, Any]:
        """What there is."""
        return self._answer("GET", f"{path}{_query(asked)}", None)

    def post(self, path: str, asked: Mapping[str, object]) -> dict[str, Any]:
        """Have something done."""
        return self._answer("POST", path, {k: v for k, v in asked.items() if v is not None})

    def delete(self, path: str, asked: Mapping[str, object]) -> dict[str, Any]:
        """Have something removed."""
        return self._answer("DELETE", f"{path}{_query(asked)}", None)

    def follow(
        self, path: str, asked: Mapping[str, object], tell: Callable[[str, Any], None]
    ) -> None:
        """Tell what is told, by name. Raises CommandError where that ends: the broker has gone."""
        connection = self._connection()
        try:
            response = self._response(connection, "GET", f"{path}{_query(asked)}", None)
            name = ""
            for line in _lines(response, self._place):
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    tell(name, self._read(value))
            raise CommandError(f"The broker at {self._place} has ended.")
        finally:
            connection.close()

    def _answer(self, method: str, path: str, body: Mapping[str, object] | None) -> _Told:
        connection = self._connection()
        try:
            response = self._response(connection, method, path, body)
            return self._read(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _read(self, answer: str | bytes) -> _Told:
        try:
            told = json.loads(answer, object_hook=_Told)
        except (ValueError, RecursionError) as error:
            raise self._unreachable(error) from error
        if not isinstance(told, _Told):
            raise CommandError(f"What answers at {self._place} is no broker.")
        return told

    def _response(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
    ) -> http.client.HTTPResponse:
        headers = dict(self._headers)
        data = None
        if body is not None:
            _check_characters(body)
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        try:
            connection.request(method, f"/api/v1{path}", body=data, headers=headers)
            response = connection.getresponse()
            if response.status == 200:
                return response
            problem = json.loads(response.read())
            detail = str(problem["detail"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise self._unreachable(error) from error
        if response.status == 401:
            detail = (
                "The broker does not know the token that it was shown."
                if self._headers
                else "The broker does not know who asks: --api-token-file FILE names a token."
            )
        raise CommandError(detail)

    def _speaks_tls(self) -> bool:
        """Whether TLS is spoken where it was asked without."""
        if not self._place.startswith("http://"):
            return False
        parts = urlsplit(self._place)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told there
        try:
            with (
                socket.create_connection((parts.hostname or "", parts.port or 80), _PROBE) as way,
                context.wrap_socket(way, server_hostname=parts.hostname),
            ):
                return True
        except (OSError, ValueError):
            return False

    def _connection(self) -> http.client.HTTPConnection:
        place = self._place
        if re.fullmatch(r"[^/]+:[0-9]+", place) and not os.path.exists(place):
            raise CommandError(f"{place} is no URL and no folder: is it http://{place}?")
        if "://" not in place:
            return _SocketConnection(os.path.join(place, SOCKET) if os.path.isdir(place) else place)
        try:
            parts = urlsplit(place)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host, port = "", None, None
        if scheme == "https" and host:
            return http.client.HTTPSConnection(
                host, port, timeout=_PATIENCE, context=self._authorities
            )
        if scheme == "http" and host:
            return http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        raise CommandError(f"{place} is no URL such as http://127.0.0.1:8080, and no folder.")

    def _unreachable(self, error: Exception) -> CommandError:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message.rstrip(".")
            return CommandError(
                f"The certificate of what answers at {self._place} is not accepted: {why}."
                f" {_remedy(error.verify_code)}".rstrip()
            )
        if isinstance(error, _WITHOUT_ANSWER) and self._speaks_tls():
            return CommandError(
                f"HTTPS is spoken at {self._place}: is it https://{urlsplit(self._place).netloc}?"
            )
        if isinstance(error, ssl.SSLError):
            return CommandError(
                f"There is no TLS with what answers at {self._place} ({error.reason}): is it"
                f" http://{urlsplit(self._place).netloc}?"
            )
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CommandError(
            f"The HTTP API of a broker cannot be asked at {self._place} ({reason}). It is there"
            " where the broker was started with --web, or with web.socket in its configuration."
        )


def _remedy(code: int) -> str:
    """What to do about a certificate that was not accepted, by OpenSSL's X509_V_ERR_…."""
    if code in _UNKNOWN_AUTHORITY:
        return "If you trust its authority, name that by --api-cafile FILE."
    if code == _EXPIRED:
        return "It is to be renewed at the broker, or the clock of this machine is wrong."
    if code == _NOT_YET_VALID:
        return "The clock of this machine may be wrong."
    if code in _OTHER_HOST:
        return "Write the host in --api as the certificate has it."
    return ""


def _check_characters(value: object) -> None:
    """Raise CommandError for a word that was given as other bytes than those of UTF-8."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _not_utf_8(value) from None
    elif isinstance(value, Mapping):
        for name, one in value.items():
            _check_characters(name)
            _check_characters(one)
    elif isinstance(value, list | tuple):
        for one in value:
            _check_characters(one)


def _not_utf_8(text: str) -> CommandError:
    return CommandError(f"{text!r} holds a character that UTF-8 cannot carry.")


def api_of(place: str | None, token_file: str | None, ca_file: str | None) -> Api:
    """The API that options and variables name. Raises CommandError where they name none."""
    place = place or os.environ.get("TMQTT_API")
    if not place:
        raise CommandError(
            "Which broker? --api http://127.0.0.1:8080 names its HTTP API, --api DIR the folder of"
            " its data on this machine; or TMQTT_API does."
        )
    token = os.environ.get("TMQTT_API_TOKEN")
    if token_file is not None:
        try:
            with open(token_file, encoding="utf-8") as file:
                token = file.readline().strip()
        except OSError as error:
            raise CommandError(
                f"The token in {token_file} cannot be read: {error.strerror}."
            ) from error
        except UnicodeDecodeError as error:
            raise CommandError(f"What is in {token_file} is no token.") from error
    if token and not (token.isascii() and token.isprintable()):
        raise CommandError("The token cannot be one: it has other characters than those of ASCII.")
    return Api(place, token or None, _authorities(ca_file or os.environ.get("TMQTT_API_CAFILE")))


def _authorities(ca_file: str | None) -> ssl.SSLContext | None:
    if not ca_file:
        return None
    try:
        if os.path.isdir(ca_file):
            return ssl.create_default_context(capath=ca_file)
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(
            f"The authorities in {ca_file} cannot be read: {reason}. They are PEM, or a directory"
            " of such."
        ) from error


def _query(asked: Mapping[str, object]) -> str:
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in asked.items()
        if value is not None
    }
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError as error:
        raise _not_utf_8(error.object) from None


def _lines(response: http.client.HTTPResponse, place: str) -> Iterator[str]:
    try:
        while line := response.readline():
            yield line.decode().rstrip("\n")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandError(f"The broker at {place} has gone: {error}.") from error
