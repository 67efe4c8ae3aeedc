"""One request to an OpenAI-compatible endpoint: bounded in time and in size, no redirects.

The standard library's client is enough, and the only one here whose whole exchange, headers
included, can be cut off at a moment. Proxies are not used.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from pydantic import SecretStr

from lake.errors import LakeError
from lake.settings import Settings

MAX_REPLY_BYTES = 1 << 20
COMPLETIONS = "/chat/completions"
GROQ, OPENAI = "GROQ_API_KEY", "OPENAI_API_KEY"
# A provider's own key goes to that provider; to an endpoint of any other kind whichever is set.
PROVIDER_KEYS = {"groq.com": (GROQ,), "openai.com": (OPENAI,)}


class ExchangeError(Exception):
    """A request without a usable response: `timeout`, `unreachable` or `malformed`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Response:
    """retry_after: seconds that the server asks to wait, None where it does not ask."""

    status: int
    body: bytes
    retry_after: float | None


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. The key is in no representation of it and in no error.

    timeout_seconds: of one whole exchange.
    """

    is_secure: bool
    host: str
    port: int | None
    path: str
    key: SecretStr = field(repr=False)
    timeout_seconds: float

    def post(self, body: bytes) -> Response:
        """Send a JSON body. Raises ExchangeError."""
        connection = self._connection()
        try:
            with _cut_after(self.timeout_seconds) as cut:
                return self._exchange(connection, body, cut)
        except TimeoutError:
            raise ExchangeError("timeout") from None
        except (OSError, HTTPException, UnicodeError):  # the last: a name that no host can have
            raise ExchangeError("timeout" if cut.is_late else "unreachable") from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if not self.is_secure:
            return HTTPConnection(self.host, self.port, timeout=self.timeout_seconds)
        context = ssl.create_default_context()
        return HTTPSConnection(self.host, self.port, timeout=self.timeout_seconds, context=context)

    def _exchange(self, connection: HTTPConnection, body: bytes, cut: _Cut) -> Response:
        connection.connect()
        cut.watch(connection.sock)
        headers = {
            "Authorization": f"Bearer {self.key.get_secret_value()}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "lmslake",
            "Connection": "close",
        }
        connection.request("POST", self.path, body, headers)
        response = connection.getresponse()
        content = response.read(MAX_REPLY_BYTES + 1)
        if cut.is_late:
            raise TimeoutError
        if len(content) > MAX_REPLY_BYTES:
            raise ExchangeError("malformed")
        if response.length:  # http.client is silent where a body ends before its announced end
            raise ExchangeError("unreachable")
        return Response(response.status, content, _seconds(response.getheader("Retry-After")))


class _Cut:
    """Ends an exchange that takes too long, wherever it waits."""

    def __init__(self) -> None:
        self.is_late = False
        self._socket: socket.socket | None = None

    def watch(self, connected: socket.socket) -> None:
        self._socket = connected

    def cut(self) -> None:
        self.is_late = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket: that one would go on in plain text.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@contextmanager
def _cut_after(seconds: float) -> Iterator[_Cut]:
    cut = _Cut()
    timer = threading.Timer(seconds, cut.cut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()


def configured_endpoint(settings: Settings, environment: Mapping[str, str]) -> Endpoint | None:
    """The endpoint that the settings name; None where they name none.

    The key is LMSLAKE_TICKET_MODEL_KEY, else GROQ_API_KEY or OPENAI_API_KEY of the environment.
    Raises LakeError where only a part is set, or what is set cannot be used.
    """
    if settings.ticket_model_url is None:
        return None
    parts = urlsplit(settings.ticket_model_url)
    host = _checked_host(settings.ticket_model_url)
    if settings.ticket_model is None:
        raise LakeError(
            "LMSLAKE_TICKET_MODEL_URL is set, but no model to ask there.\n"
            "  Set LMSLAKE_TICKET_MODEL to its name, or unset the URL: the rules label then."
        )
    path = parts.path.rstrip("/")
    return Endpoint(
        is_secure=parts.scheme == "https",
        host=host,
        port=parts.port,
        path=path if path.endswith(COMPLETIONS) else path + COMPLETIONS,
        key=_key(settings.ticket_model_key, host, environment),
        timeout_seconds=settings.ticket_model_timeout_seconds,
    )


def _checked_host(url: str) -> str:
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    has_form = parts.scheme in ("http", "https") and host and url.isascii() and url.isprintable()
    if not has_form or not host or " " in url or "@" in parts.netloc or parts.query:
        raise LakeError(
            "LMSLAKE_TICKET_MODEL_URL is no address of an endpoint.\n"
            "  Give scheme, host and path, without user, password and query, as in "
            "https://api.groq.com/openai/v1"
        )
    if parts.scheme == "http" and not _is_near(host):
        raise LakeError(
            f"LMSLAKE_TICKET_MODEL_URL would send the key to {host} without encryption.\n"
            "  Use https:// (http:// is for private addresses and names without a point only)."
        )
    return host


def _is_near(host: str) -> bool:
    """A private address, or a name that only the own network resolves."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host


def _key(key: SecretStr | None, host: str, environment: Mapping[str, str]) -> SecretStr:
    if key is not None:
        return _usable(key.get_secret_value(), "LMSLAKE_TICKET_MODEL_KEY")
    variables: tuple[str, ...] = (GROQ, OPENAI)
    for domain, own in PROVIDER_KEYS.items():
        if host == domain or host.endswith(f".{domain}"):
            variables = own
    for variable in variables:
        if environment.get(variable):
            return _usable(environment[variable], variable)
    raise LakeError(
        "LMSLAKE_TICKET_MODEL_URL is set, but no key.\n"
        f"  Set LMSLAKE_TICKET_MODEL_KEY (or {' or '.join(variables)}); any text will do where the "
        "endpoint asks for none. Unset the URL to let the rules label."
    )


def _usable(key: str, variable: str) -> SecretStr:
    """Raises LakeError, without the key, where it cannot stand in a header."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise LakeError(
            f"{variable} holds characters that no key has.\n  Set it to the key alone, on one line."
        )
    return SecretStr(key)


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
