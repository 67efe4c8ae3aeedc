"""CSV and its relatives: separators, quotes and line ends as exports have them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from lake.landing.columns import Columns, check_columns, columns_of
from lake.landing.faults import FileFault
from lake.landing.rows import BATCH_CHARACTERS, BATCH_ROWS, Batch, Counts, Extra, Pending
from lake.landing.text import Text
from schemas.records import Source

# In this order where the header fits several equally well.
DELIMITERS = (",", ";", "\t", "|")
# Excel's own first line.
DELIMITER_LINE = re.compile(r'"?sep=([^"\s\w]|\t)"?\s*', re.IGNORECASE)
QUOTE = '"'
LINE_ENDS = "\r\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out. skipped: lines before the header; header_line: where it begins."""

    delimiter: str
    skipped: int
    header: tuple[str, ...]
    header_line: int


@dataclass(frozen=True, slots=True)
class Delimited:
    """A file with a header whose columns are known. Values hold at most so many characters."""

    text: Text
    layout: Layout
    columns: Columns
    max_characters: int

    @property
    def delimiter(self) -> str:
        return self.layout.delimiter

    def batches(self, counts: Counts) -> Iterator[Batch]:
        """The rows below the header in order. Raises FileFault where they cannot all be read."""
        columns, layout = self.columns, self.layout
        counts.add_extra_columns(name for _, name in columns.extra)
        with self.text.open() as stream:
            lines = _Lines(stream, self.max_characters)
            reader = lines.records(layout.delimiter, layout.skipped)
            start = layout.skipped + 1
            try:
                while not _is_row(next(reader)):
                    pass
                pending = Pending()
                rows, starts = pending.rows, pending.lines
                start = lines.number + 1
                for row in reader:
                    if len(row) == columns.width:
                        rows.append(row)
                        starts.append(start)
                    elif _is_row(row):
                        _add_ragged(pending, row, columns.width)
                        starts.append(start)
                    start = lines.number + 1
                    if len(rows) >= BATCH_ROWS or lines.characters >= BATCH_CHARACTERS:
                        if rows:
                            yield _batch(pending, columns, counts)
                            rows, starts = pending.rows, pending.lines
                        lines.characters = 0
            except csv.Error:
                raise _located(self.text, layout.delimiter, start, self.max_characters) from None
            if rows:
                yield _batch(pending, columns, counts)


def open_delimited(text: Text, source: Source, max_characters: int) -> Delimited:
    """Find the header and the separator with which it names most of the source's fields.

    Raises FileFault: no header, one without a required field, quotes that do not close.
    """
    layout = _find_layout(text, source, max_characters)
    columns = check_columns(source, layout.header, layout.header_line)
    return Delimited(text, layout, columns, max_characters)


def _find_layout(text: Text, source: Source, max_characters: int) -> Layout:
    with text.open() as stream:
        told = DELIMITER_LINE.fullmatch(stream.readline(max_characters))
    skipped = 1 if told else 0
    layouts: list[Layout] = []
    broken: list[str] = []
    for delimiter in (told[1],) if told else DELIMITERS:
        try:
            layouts += _header(text, delimiter, skipped, max_characters)
        except csv.Error:
            broken.append(delimiter)
    known = [columns_of(source, layout.header).known for layout in layouts]
    if broken and not any(known):
        raise _located(text, broken[0], skipped + 1, max_characters)
    if not layouts:
        raise FileFault("empty_file", "the file holds nothing but blank lines")
    return layouts[known.index(max(known))]


def _header(text: Text, delimiter: str, skipped: int, max_characters: int) -> Iterator[Layout]:
    """The layout with that separator, unless all lines are blank. Raises csv.Error."""
    with text.open() as stream:
        lines = _Lines(stream, max_characters)
        start = skipped + 1
        for row in lines.records(delimiter, skipped):
            if _is_row(row):
                yield Layout(delimiter, skipped, tuple(row), start)
                return
            start = lines.number + 1


class _Lines:
    """Lines of a stream, counted."""

    def __init__(self, stream: TextIO, max_characters: int) -> None:
        self._stream = stream
        self._max_characters = max_characters
        self.number = 0
        self.characters = 0

    def records(self, delimiter: str, skipped: int) -> Iterator[list[str]]:
        """Records of the lines after the first `skipped` ones. Raises csv.Error."""
        for _ in range(skipped):
            self._stream.readline()
            self.number += 1
        csv.field_size_limit(self._max_characters)
        return csv.reader(self._lines(), delimiter=delimiter, quotechar=QUOTE, strict=True)

    def _lines(self) -> Iterator[str]:
        readline, longest = self._stream.readline, 4 * self._max_characters
        while line := readline(longest):
            self.number += 1
            self.characters += len(line)
            if len(line) == longest and line[-1] not in LINE_ENDS:
                raise FileFault(
                    "record_too_large",
                    f"the line has more than {longest:,} characters",
                    self.number,
                )
            yield line


def _is_row(row: Sequence[str]) -> bool:
    """Whether the record is more than a blank line."""
    return len(row) > 1 or (len(row) == 1 and not row[0].isspace() and row[0] != "")


def _add_ragged(pending: Pending, row: list[str], width: int) -> None:
    """A row with too few fields gets nulls; those beyond the header are kept apart."""
    surplus: Extra = {f"+{number}": value for number, value in enumerate(row[width:], 1)}
    values = [*row[:width], *[None] * (width - len(row))]
    pending.add(values, surplus, f"ragged_row: {len(row)} of {width} fields")


def _batch(pending: Pending, columns: Columns, counts: Counts) -> Batch:
    if columns.extra:
        for at, row in enumerate(pending.rows):
            named = {name: row[index] for index, name in columns.extra if row[index] is not None}
            if named:
                pending.extra[at] = {**named, **pending.extra.get(at, {})}
    return pending.batch(columns.fields, counts)


def _located(text: Text, delimiter: str, start: int, max_characters: int) -> FileFault:
    """The fault of the record that begins in line `start`, with its place."""
    with text.open() as stream:
        for _ in range(start - 1):
            stream.readline()
        return locate_fault(stream, delimiter, start, max_characters)


def locate_fault(
    lines: Iterable[str], delimiter: str, start: int, max_characters: int
) -> FileFault:
    """What is wrong with the quotes, or the length, of the record at the head of the lines."""
    state, opened, length = "start", (start, 1), 0
    for number, line in enumerate(lines, start):
        for column, letter in enumerate(line, 1):
            is_end = letter == delimiter or letter in LINE_ENDS
            if state == "quoted":
                state = "closing" if letter == QUOTE else "quoted"
            elif state == "closing" and letter == QUOTE:
                state = "quoted"
            elif is_end:
                state, length, opened = "start", 0, (number, column + 1)
            elif state == "closing":
                return _badly_closed(opened, number, column)
            elif state == "start":
                state, opened = ("quoted" if letter == QUOTE else "plain"), (number, column)
            length += 1
            if length > max_characters:
                return _too_long(state, opened, max_characters)
    return FileFault("unclosed_quote", "the quote that opens here is never closed", *opened)


def _badly_closed(opened: tuple[int, int], line: int, column: int) -> FileFault:
    if opened[0] != line:
        detail = (
            "the quote that opens here does not close where its value ends: the next one, in "
            f"line {line}, column {column - 1}, stands before other text"
        )
        return FileFault("unclosed_quote", detail, *opened)
    detail = "text follows a closing quote; a quote inside of a quoted value is written twice"
    return FileFault("stray_quote", detail, line, column)


def _too_long(state: str, opened: tuple[int, int], max_characters: int) -> FileFault:
    if state == "plain":
        detail = f"the value that begins here has more than {max_characters:,} characters"
        return FileFault("record_too_large", detail, *opened)
    detail = f"the quote that opens here is not closed within {max_characters:,} characters"
    return FileFault("unclosed_quote", detail, *opened)
