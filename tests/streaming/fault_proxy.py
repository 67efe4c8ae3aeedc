"""An HTTP proxy in front of a store that goes wrong on demand, for a share of the requests."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler
from typing import Literal
from urllib.parse import urlsplit

from tests.services import Minio

FaultKind = Literal[
    "error", "hang", "cut_request", "cut_answer", "lost_answer", "late_error", "slow", "refuse"
]
BLOCK = 1_024
# Small, so that a slow reader is felt by the sender and not hidden by the kernel.
SOCKET_BUFFER = 4_096
STORE_SECONDS = 30.0
HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"})
ERROR_BODY = "<Error><Code>{code}</Code><Message>the fault proxy</Message></Error>"
ERROR_CODES = {500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with `share` (0 to 1) of the requests that `concerns` finds.

    `concerns` is a regular expression over "METHOD /path?query"; `times` ends the fault after so
    many. Kinds: error (answers `status`, the store sees nothing), hang (never answers, not even
    after the fault is over), cut_request (the connection breaks inside the body; the store sees
    half of it), cut_answer (it breaks inside the answer's body), lost_answer (the store does its
    work and the connection breaks before the answer), late_error (it does its work and the answer
    is `status`), slow (`bytes_per_second` both ways), refuse (no connection).
    """

    kind: FaultKind
    share: float = 1.0
    status: int = 503
    bytes_per_second: int = 4_000
    concerns: str = ""
    times: int | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.status}" if self.kind.endswith("error") else self.kind


class FaultProxy:
    """Listens on a port of its own from the start; `struck` counts the faults by name."""

    def __init__(self, endpoint: str, seed: int = 1) -> None:
        where = urlsplit(endpoint)
        assert where.hostname
        self.store = (where.hostname, where.port or 80)
        self.struck: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._fault: Fault | None = None
        self._left: int | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_over = False
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._is_listening = False
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self, fault: Fault) -> None:
        """From now on; another fault ends. A whole refusal ends the connections that are open."""
        with self._lock:
            self._fault, self._left = fault, fault.times
        if fault.kind == "refuse" and fault.share == 1.0:
            self._break_connections()

    def end(self) -> None:
        """What comes from now on is served; what hangs goes on hanging."""
        with self._lock:
            self._fault = None

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        self._listener.close()
        self._break_connections()

    def struck_by(self, request: str) -> Fault | None:
        """The fault of this request, counted, or None."""
        with self._lock:
            fault = self._fault
            if fault is None or self._left == 0 or not re.search(fault.concerns, request):
                return None
            if self._chance.random() >= fault.share:
                return None
            if self._left is not None:
                self._left -= 1
            self.struck[fault.name] += 1
            return fault

    @property
    def _refuses(self) -> bool:
        fault = self._fault
        return fault is not None and fault.kind == "refuse" and fault.share == 1.0

    def _serve(self) -> None:
        while not self._is_over:
            if self._refuses:
                if self._is_listening:
                    # Bound but not listening: the port stays ours and refuses.
                    self._listener.close()
                    self._listener, self._is_listening = _bound(self.port), False
                time.sleep(0.02)
                continue
            if not self._is_listening:
                self._listener.listen(64)
                self._is_listening = True
            if select.select([self._listener], [], [], 0.05)[0]:
                connection, client = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection, client), daemon=True).start()

    def _talk(self, connection: socket.socket, client: object) -> None:
        fault = self._fault
        with self._lock:
            self._open.add(connection)
        try:
            if fault and fault.kind == "refuse" and self.struck_by("CONNECT"):
                reset(connection)
                return
            # A client that breaks off is no concern of ours.
            with suppress(OSError):
                _Conversation(connection, client, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _break_connections(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            reset(connection)


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    listener.bind(("127.0.0.1", port))
    return listener


def reset(connection: socket.socket) -> None:
    """Break a connection: the other side reads "connection reset", no orderly end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()


class _Conversation(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server: FaultProxy  # type: ignore[assignment]

    def log_message(self, *_: object) -> None:
        return None

    def _one_request(self) -> None:
        fault = self.server.struck_by(f"{self.command} {self.path}")
        kind = fault.kind if fault else None
        if kind == "hang":
            self._hang()
            return
        pace = fault.bytes_per_second if fault and kind == "slow" else None
        size = int(self.headers.get("Content-Length") or 0)
        if kind == "cut_request" and size:
            self._forward_half(self.rfile.read(size // 2), size)
            self._break()
            return
        body = self._read(size, pace)
        if fault and kind == "error":
            self._answer_error(fault.status)
            return
        try:
            answer, content = self._forward(body)
        except (OSError, HTTPException):
            self._break()  # the store itself is away
            return
        if kind == "lost_answer":
            self._break()
            return
        if fault and kind == "late_error":
            self._answer_error(fault.status)
            return
        cut = len(content) // 2 if kind == "cut_answer" and content else None
        self._answer(answer.status, answer.getheaders(), content, pace, cut)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _one_request  # noqa: N815

    def _read(self, size: int, pace: int | None) -> bytes:
        if pace is None:
            return self.rfile.read(size)
        parts = []
        while size > 0:
            parts.append(self.rfile.read(min(size, BLOCK)))
            size -= BLOCK
            time.sleep(BLOCK / pace)
        return b"".join(parts)

    def _upstream(self) -> HTTPConnection:
        """A connection to the store with the request's head on its way, unchanged: it is signed."""
        upstream = HTTPConnection(*self.server.store, timeout=STORE_SECONDS)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                upstream.putheader(name, value)
        return upstream

    def _forward(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        upstream = self._upstream()
        try:
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            return answer, answer.read()
        finally:
            upstream.close()

    def _forward_half(self, half: bytes, size: int) -> None:
        """The store is told of `size` bytes and gets less."""
        assert len(half) < size
        with suppress(OSError):
            upstream = self._upstream()
            upstream.endheaders(half)
            time.sleep(0.05)
            upstream.close()

    def _answer_error(self, status: int) -> None:
        content = ERROR_BODY.format(code=ERROR_CODES[status]).encode()
        self._answer(status, [("Content-Type", "application/xml")], content)

    def _answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        pace: int | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        told = {name.lower(): value for name, value in headers}.get("content-length")
        size = told if self.command == "HEAD" and told else len(content)
        if status not in (204, 304):
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is not None:
            self.wfile.write(content[:cut])
            self._break()
            return
        for start in range(0, len(content), BLOCK) if pace else ():
            self.wfile.write(content[start : start + BLOCK])
            time.sleep(BLOCK / (pace or 1))
        if not pace:
            self.wfile.write(content)

    def _hang(self) -> None:
        """Until the client gives up."""
        self.close_connection = True
        while self.connection.recv(1 << 16):
            pass

    def _break(self) -> None:
        self.close_connection = True
        reset(self.connection)


@contextmanager
def faulty(minio: Minio, seed: int = 1) -> Iterator[tuple[FaultProxy, Minio]]:
    """A proxy before the store, and the store as its clients see it through the proxy."""
    proxy = FaultProxy(minio.endpoint, seed)
    try:
        yield proxy, replace(minio, endpoint=proxy.endpoint)
    finally:
        proxy.close()
