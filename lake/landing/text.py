"""Bytes of a file as text: decompressed, in the encoding that they are in."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, TextIO

from lake.decompression import CorruptCompressionError, plain_chunks
from lake.landing.faults import FileFault

READ_CHUNK = 1 << 20
HEAD_BYTES = 1 << 12
Open = Callable[[], BinaryIO]

# The longer marks first: UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A header is ASCII in its first letters: in UTF-16 every other byte of them is NUL.
FIRST_LETTERS = 16
UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
ASCII = bytes(range(128))
UNDEFINED_IN_CP1252 = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
DEFINED_IN_CP1252 = bytes(set(range(256)) - set(UNDEFINED_IN_CP1252))
KINDS = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"PAR1", "a Parquet file"),
)
# Bytes that no text has; NUL is left out, as damaged exports hold some.
CONTROLS = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\x1a\x1b"))
CONTROLS_SHARE = 0.02


class _Place:
    """How far a text was read. line, column: of the letter that comes next, from 1."""

    def __init__(self) -> None:
        self.line = self.column = 1
        self._ends_in_return = False

    def pass_over(self, text: str) -> None:
        """Lines end as files are read: with a line feed, a carriage return, or both."""
        if not text:
            return
        is_split = self._ends_in_return and text[0] == "\n"
        self.line += text.count("\n") + text.count("\r") - text.count("\r\n") - is_split
        last_end = max(text.rfind("\n"), text.rfind("\r"))
        self.column = len(text) - last_end + (self.column - 1 if last_end < 0 else 0)
        self._ends_in_return = text[-1] == "\r"


@dataclass(frozen=True, slots=True)
class Text:
    """How the bytes of a file become text; `encoding` is a codec of Python."""

    open_bytes: Open
    encoding: str

    def open(self) -> TextIO:
        """The text from its start, without its byte order mark; line ends as they are."""
        return io.TextIOWrapper(self._plain(), self.encoding, errors="strict", newline="")

    def _plain(self) -> io.BufferedReader:
        return io.BufferedReader(_ChunkStream(_chunks(self.open_bytes)), READ_CHUNK)


def find_text(open_bytes: Open, max_bytes: int) -> Text:
    """Read all of the file once and find its encoding.

    A byte order mark decides; without one UTF-16 where NUL bytes show it, else UTF-8 where every
    byte fits it, else Windows-1252, and Latin-1 where that has no letter for a byte. The last two
    are assumed, not known: no statistics guess a language, so the same bytes always give the same
    text, and each byte gives one letter, so nothing is lost by a wrong assumption. Raises
    FileFault: an empty, cut-off or damaged file, one of more than `max_bytes` (decompressed), no
    text, text in two encodings.
    """
    chunks = _limited(_chunks(open_bytes), max_bytes)
    head = b""
    while len(head) < HEAD_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    if not head:
        raise FileFault("empty_file", "the file is empty")
    shown = _shown_encoding(head)
    _check_is_text(head, shown)
    fault, place = _decodes(chain((head,), chunks), shown or "utf-8")
    if fault is None:
        return Text(open_bytes, shown or "utf-8")
    if shown is not None:
        raise FileFault(
            "not_text",
            f"the file begins as {shown}, but not all of it is: {fault.reason}",
            place.line,
            place.column,
        )
    return Text(open_bytes, _assumed_encoding(_chunks(open_bytes), place))


def _shown_encoding(head: bytes) -> str | None:
    """The encoding that the beginning shows, if it does."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    letters = head[:FIRST_LETTERS]
    first, second = letters[::2], letters[1::2]
    if len(letters) >= 4 and not any(second) and all(first):
        return "utf-16-le"
    if len(letters) >= 4 and not any(first) and all(second):
        return "utf-16-be"
    return None


def _check_is_text(head: bytes, encoding: str | None) -> None:
    for magic, kind in KINDS:
        if head.startswith(magic):
            raise FileFault("not_text", f"the file is {kind}; export it as CSV or JSON")
    if encoding and encoding.startswith(("utf-16", "utf-32")):
        return
    controls = len(head) - len(head.translate(None, CONTROLS))
    if controls > CONTROLS_SHARE * len(head) or head.count(0) > len(head) / 2:
        raise FileFault("not_text", "the file is binary, not text; export it as CSV or JSON")


def _decodes(chunks: Iterator[bytes], encoding: str) -> tuple[UnicodeDecodeError | None, _Place]:
    """The first fault of the chunks in the encoding, and its place; all of them are read."""
    decoder = codecs.getincrementaldecoder(encoding)()
    fault: UnicodeDecodeError | None = None
    place = _Place()
    for chunk in chain(chunks, (b"",)):
        if fault is None:
            _, state = decoder.getstate()
            try:
                place.pass_over(decoder.decode(chunk, final=not chunk))
            except UnicodeDecodeError as error:
                fault = error
                decoder.setstate((b"", state))
                place.pass_over(decoder.decode(error.object[: error.start]))
    return fault, place


def _assumed_encoding(chunks: Iterator[bytes], place: _Place) -> str:
    """Windows-1252 or Latin-1 for what is not UTF-8, first of all at the place.

    Raises FileFault where more of it is UTF-8 than is not: text of another encoding got into it,
    and names would be garbled whichever is taken.
    """
    whole = stray = 0
    encoding = "cp1252"
    for chunk in chunks:
        whole += len(UTF8_SEQUENCE.findall(chunk))
        others = UTF8_SEQUENCE.sub(b"", chunk).translate(None, ASCII)
        stray += len(others)
        if others.translate(None, DEFINED_IN_CP1252):
            encoding = "latin-1"
    if whole > stray:
        raise FileFault(
            "mixed_encoding",
            "a letter is not UTF-8, though most of the file is; export it in one encoding",
            place.line,
            place.column,
        )
    return encoding


def _chunks(open_bytes: Open) -> Iterator[bytes]:
    """Plain bytes, decompressed where they are gzip. Raises FileFault where that is damaged."""
    with open_bytes() as stream:
        raw = iter(lambda: stream.read(READ_CHUNK), b"")
        try:
            yield from plain_chunks(raw)
        except CorruptCompressionError as error:
            if error.rest is not None:
                error.rest.close()
            raise FileFault("damaged_gzip", f"the gzip file is {error}") from None


def _limited(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise FileFault(
                "too_large",
                f"the file has more than {max_bytes:,} bytes of text; split it, or raise "
                "LMSLAKE_LANDING_MAX_FILE_BYTES",
            )
        yield chunk


class _ChunkStream(io.RawIOBase):
    """Chunks of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
