"""Plain bytes of a file that may be gzip; damage ends them, what came before is kept."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Generator, Iterator
from itertools import chain
from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b"
FEED = 1 << 16
MAX_OUTPUT = 1 << 20


class CorruptCompressionError(Exception):
    """The file is damaged from some byte on; `rest` holds the compressed bytes from there."""

    def __init__(self, message: str, rest: BinaryIO | None) -> None:
        super().__init__(message)
        self.rest = rest


def plain_chunks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks as they are, or decompressed where they begin with gzip's magic number.

    Raises CorruptCompressionError after everything that could be decompressed was given.
    """
    first = next(chunks, b"")
    while 0 < len(first) < len(GZIP_MAGIC) and (more := next(chunks, b"")):
        first += more
    everything = chain((first,), chunks)
    if first.startswith(GZIP_MAGIC):
        yield from _inflated(everything)
    else:
        yield from (chunk for chunk in everything if chunk)


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Members one after the other; zero bytes after the last one are padding."""
    inflater = zlib.decompressobj(31)
    position = 0
    started = False
    for chunk in chunks:
        while chunk:
            if not started:
                padding = len(chunk) - len(chunk.lstrip(b"\0")) if position else 0
                position += padding
                chunk = chunk[padding:]
                if not chunk:
                    break
            part, chunk = chunk[:FEED], chunk[FEED:]
            before = inflater.copy()
            started = True
            try:
                output = _bounded_output(inflater, part)
                yield from output
            except zlib.error as error:
                good = yield from _up_to_damage(before, part)
                rest = _kept(chain((part[good:], chunk), chunks))
                message = f"damaged at byte {position + good}: {error}"
                raise CorruptCompressionError(message, rest) from None
            position += len(part) - len(inflater.unused_data)
            if inflater.eof:
                chunk = inflater.unused_data + chunk
                inflater, started = zlib.decompressobj(31), False
    if started:
        raise CorruptCompressionError(f"cut off after byte {position}", None)


def _bounded_output(inflater: zlib._Decompress, part: bytes) -> list[bytes]:
    """Everything that `part` gives; in pieces, as a bomb would give gigabytes."""
    output = []
    while part:
        piece = inflater.decompress(part, MAX_OUTPUT)
        if piece:
            output.append(piece)
        part = inflater.unconsumed_tail
    return output


def _up_to_damage(inflater: zlib._Decompress, part: bytes) -> Generator[bytes, None, int]:
    """Byte by byte, because zlib gives no output for a call that fails."""
    for index in range(len(part)):
        try:
            piece = inflater.decompress(part[index : index + 1])
        except zlib.error:
            return index
        if piece:
            yield piece
    return len(part)


def _kept(chunks: Iterator[bytes]) -> BinaryIO:
    rest = tempfile.TemporaryFile(prefix="lmslake-")  # noqa: SIM115 - the reader closes it
    for chunk in chunks:
        rest.write(chunk)
    rest.seek(0)
    return rest
