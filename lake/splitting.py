"""A stream of bytes cut into records: JSON lines, one array, or values one after the other."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

import orjson

BOM = b"\xef\xbb\xbf"
PEEK = 1 << 16
LINE_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
KEPT_OF_LARGE = 1_000

_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+("?)|[{}\[\]]', re.DOTALL)
_STRING_END = re.compile(rb'(?:[^"\\]+|\\.)*+("?)', re.DOTALL)
_VALUE_START = re.compile(rb"[^\s,]")
_SCALAR_END = re.compile(rb'[\s,{}\[\]"]')


class Piece(NamedTuple):
    """One record's bytes. A larger one than allowed lies in `large`, `raw` is its beginning.

    `is_unfinished`: the stream ended before the record did (for lines: without a newline).
    """

    raw: bytes
    size: int
    large: BinaryIO | None = None
    is_unfinished: bool = False


def choose_splitter(name: str, chunks: Iterator[bytes], max_bytes: int) -> Iterator[Piece]:
    """Lines for .jsonl and .ndjson; otherwise what the beginning looks like.

    The choice depends on the content and the name only, so that offsets stay the same.
    """
    head = next(chunks, b"")
    while len(head) < PEEK and (more := next(chunks, b"")):
        head += more
    head = head.removeprefix(BOM)
    everything = chain((head,), chunks)
    if name.lower().endswith(LINE_SUFFIXES) or _looks_like_lines(head):
        return split_lines(everything, max_bytes)
    return split_values(everything, max_bytes)


def _looks_like_lines(head: bytes) -> bool:
    start = head[:PEEK].lstrip()
    if not start or start[:1] == b"[":
        return not start
    line = start.split(b"\n", 1)[0].rstrip()
    if _is_json(line):
        return True
    first_value = next(split_values(iter((start,)), PEEK), None)
    if first_value is not None and not first_value.is_unfinished and _is_json(first_value.raw):
        return False
    return not line.endswith((b"{", b"[", b",", b":"))


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def split_lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Piece]:
    """One record per line; blank lines are left out, white space around is kept."""
    rest = b""
    for chunk in chunks:
        data: bytes | None = rest + chunk
        while data is not None:
            lines = data.split(b"\n")
            rest, data = lines.pop(), None
            for line in lines:
                if len(line) > max_bytes:
                    yield _large_piece(line)
                elif line and not line.isspace():
                    yield Piece(line, len(line))
            if len(rest) > max_bytes:
                large = Growing(max_bytes)
                large.add(rest)
                rest, data = b"", _until_newline(chunks, large)
                yield large.piece(is_unfinished=data is None)
    if rest and not rest.isspace():
        yield Piece(rest, len(rest), is_unfinished=True)


def _until_newline(chunks: Iterator[bytes], line: Growing) -> bytes | None:
    """Move the rest of a long line over; gives what follows it, None where the stream ends."""
    for chunk in chunks:
        before, newline, after = chunk.partition(b"\n")
        line.add(before)
        if newline:
            return after
    return None


def _large_piece(line: bytes) -> Piece:
    large = Growing(0)
    large.add(line)
    return large.piece(is_unfinished=False)


class Growing:
    """A record under way: in memory up to the limit, then in a temporary file."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self._file is None:
            self._parts.append(part)
            if self.size > self._max_bytes:
                self._file = tempfile.TemporaryFile(prefix="lmslake-")  # noqa: SIM115
                self._file.writelines(self._parts)
                self._parts = [b"".join(self._parts)[:KEPT_OF_LARGE]]
        else:
            self._file.write(part)

    def piece(self, is_unfinished: bool) -> Piece:
        """The record; this object begins anew."""
        done = Piece(b"".join(self._parts), self.size, self._file, is_unfinished)
        self._parts, self._file, self.size = [], None, 0
        return done


def split_values(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Piece]:
    """The elements of top-level arrays, and top-level values, over any number of lines.

    Only brackets and quotes are looked at: what is between them is for the validator to judge.
    """
    scanner = _Scanner()
    record = Growing(max_bytes)
    for chunk in chunks:
        position = 0
        while position < len(chunk):
            if not scanner.is_inside:
                position = scanner.enter(chunk, position)
                continue
            end = scanner.advance(chunk, position)
            record.add(chunk[position:end])
            position = end
            if not scanner.is_inside:
                yield record.piece(is_unfinished=False)
    if scanner.is_inside:
        yield record.piece(is_unfinished=not scanner.is_scalar)


class _Scanner:
    """Where in the text of JSON values the stream stands; survives any cut between chunks."""

    def __init__(self) -> None:
        self.is_inside = False
        self.is_scalar = False
        self._in_array = False
        self._in_string = False
        self._after_backslash = False
        self._depth = 0

    def enter(self, chunk: bytes, position: int) -> int:
        """Go to the next value's first byte, through commas and the brackets of outer arrays."""
        found = _VALUE_START.search(chunk, position)
        if found is None:
            return len(chunk)
        character = found[0]
        if character == b"[" and not self._in_array:
            self._in_array = True
            return found.end()
        if character == b"]" and self._in_array:
            self._in_array = False
            return found.end()
        self.is_inside = True
        self.is_scalar = character not in b'{["}]'
        self._depth = 0
        return found.start()

    def advance(self, chunk: bytes, position: int) -> int:
        """The end of the value in this chunk, or the end of the chunk."""
        if self.is_scalar:
            end = _SCALAR_END.search(chunk, position)
            self.is_inside = end is None
            return len(chunk) if end is None else max(end.start(), position)
        while position < len(chunk):
            if self._in_string:
                position = self._through_string(chunk, position)
            else:
                token = _TOKEN.search(chunk, position)
                if token is None:
                    return len(chunk)
                position = token.end()
                self._take(token)
            if not self._in_string and self._depth <= 0:
                self.is_inside = False
                return position
        return position

    def _take(self, token: re.Match[bytes]) -> None:
        first = token[0][:1]
        if first == b'"':
            self._in_string = not token[1]
            # The match stops before a lone backslash at the chunk's end: it is read again.
        elif first in b"{[":
            self._depth += 1
        else:
            self._depth -= 1

    def _through_string(self, chunk: bytes, position: int) -> int:
        if self._after_backslash:
            self._after_backslash = False
            return position + 1
        if chunk[position:] == b"\\":
            self._after_backslash = True
            return position + 1
        end = _STRING_END.match(chunk, position)
        if end is None:  # never: the pattern matches the empty text too
            return len(chunk)
        self._in_string = not end[1]
        return end.end()
