"""Objects of the raw zone: lines of one origin on their way into one gzip object."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from datetime import date

from lake.ledger import source_app_id
from lake.storage import ObjectStore
from lake.validation import Accepted

GZIP_LEVEL = 4
BLOCK_LINES = 1_024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from: a partition of a topic, or a file known by its content's hash."""

    topic: str
    source: str
    partition: int = 0

    @property
    def app_id(self) -> str:
        return source_app_id(self.topic, self.source, self.partition)

    @property
    def prefix(self) -> str:
        """Start of the names of all objects of this origin."""
        is_hash = re.fullmatch(r"[0-9a-f]{64}", self.source)
        digest = self.source if is_hash else hashlib.sha256(self.source.encode()).hexdigest()
        return digest[:16] if self.partition == 0 else f"{digest[:16]}-{self.partition:05d}"


class GzipLines:
    """Lines on their way into one gzip object; full blocks are compressed as they come."""

    __slots__ = ("_body", "_compressor", "_count_before", "_done", "_lines")

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._done: list[bytes] = []
        self._compressor: zlib._Compress | None = None
        self._count_before = 0
        self._body: bytes | None = None

    def add(self, line: bytes) -> None:
        """Take a line without its newline."""
        self._lines.append(line)
        if len(self._lines) >= BLOCK_LINES:
            self._compress()

    @property
    def count(self) -> int:
        """Lines taken so far."""
        return self._count_before + len(self._lines)

    def body(self) -> bytes:
        """The finished object. The same lines give the same bytes; nothing may be added after."""
        if self._body is None:
            self._done.append(self._compress().flush())
            self._body = b"".join(self._done)
            self._done.clear()
        return self._body

    def _compress(self) -> zlib._Compress:
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)  # gzip, mtime 0
            self._compressor = compressor
        if self._lines:
            self._count_before += len(self._lines)
            self._lines.append(b"")  # the last newline
            self._done.append(compressor.compress(b"\n".join(self._lines)))
            self._lines.clear()
        return compressor


class EventBuffer:
    """Events of one day on their way into an object, with what the ledger says of them."""

    __slots__ = ("_digest", "_first_offset", "_last_offset", "lines", "max_us", "min_us")

    def __init__(self, first_offset: int, ts_us: int) -> None:
        self.lines = GzipLines()
        self.min_us = self.max_us = ts_us
        self._digest = 0
        self._first_offset = self._last_offset = first_offset

    def add(self, offset: int, event: Accepted) -> None:
        """Take an event; offsets ascend."""
        line, _, ts_us, event_id = event
        self.lines.add(line)
        self._last_offset = offset
        self._digest += int.from_bytes(hashlib.sha256(event_id.encode()).digest()[:8])
        if ts_us < self.min_us:
            self.min_us = ts_us
        elif ts_us > self.max_us:
            self.max_us = ts_us

    @property
    def span(self) -> tuple[int, int]:
        """First and last offset."""
        return self._first_offset, self._last_offset

    @property
    def id_digest(self) -> str:
        """Sum of the first 8 bytes of each id's SHA-256, modulo 2^64, in decimal."""
        return str(self._digest % 2**64)


def put_lines(
    store: ObjectStore,
    zone: str,
    origin: Origin,
    day: date,
    span: tuple[int, int],
    lines: GzipLines,
) -> tuple[str, int]:
    """Put an object of lines into `events/<zone>/`; gives its key and compressed size.

    The name ends with a digest of the content: a writer that was overtaken can never put other
    bytes in the place of an object that is committed, and a repeated put changes nothing.
    """
    body = lines.body()
    digest = hashlib.sha256(body).hexdigest()[:8]
    name = f"{origin.prefix}-{span[0]:012d}-{span[1]:012d}-{digest}.jsonl.gz"
    key = f"events/{zone}/{origin.topic}/date={day.isoformat()}/{name}"
    store.put(key, body)
    return key, len(body)
