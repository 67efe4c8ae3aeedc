"""JSON: an array of objects, one object after the other, or an object that holds the array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake.landing.columns import Columns, columns_of, missing_columns, spelling, spellings
from lake.landing.faults import FileFault
from lake.landing.json_window import Pairs, Window, member_texts
from lake.landing.rows import (
    BATCH_CHARACTERS,
    BATCH_ROWS,
    Batch,
    Counts,
    Extra,
    Pending,
)
from lake.landing.text import Text
from schemas.records import Source

# Objects of one source have few shapes: each is looked at once.
SHAPES_KEPT = 1_000
NOT_AN_OBJECT = "not_an_object"

Element = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class JsonRecords:
    """A file of JSON. member: name of the array where an object holds it."""

    text: Text
    source: Source
    is_lines: bool
    member: str | None
    max_characters: int

    @property
    def delimiter(self) -> None:
        return None

    def batches(self, counts: Counts) -> Iterator[Batch]:
        """Every element in order. Raises FileFault where they cannot all be read, and at the end
        where no object has a required field.
        """
        mapping = RowMapping(self.source, counts)
        indices = range(len(self.source.fields))
        with self.text.open() as stream:
            pending, characters = Pending(), 0
            for value, text in self._elements(Window(stream, self.max_characters)):
                pending.add(*mapping.row(value, text))
                characters += len(text)
                if len(pending.rows) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
                    yield pending.batch(indices, counts)
                    characters = 0
            # Before the last batch: who writes the rows commits after it.
            mapping.check(counts.rows + len(pending.rows))
            if pending.rows:
                yield pending.batch(indices, counts)

    def _elements(self, window: Window) -> Iterator[Element]:
        if self.is_lines:
            yield from _values(window)
        elif self.member is None:
            yield from _array(window)
            window.expect_end("the array")
        else:
            yield from _wrapped(window, self.member, self.source)
            window.expect_end("the object")


def open_json(text: Text, source: Source, max_characters: int) -> JsonRecords:
    """Find which of the three kinds the file is. Raises FileFault."""
    with text.open() as stream:
        window = Window(stream, max_characters)
        first = window.peek()
        if not first:
            raise FileFault("empty_file", "the file holds nothing but blanks")
        member = _member_with_rows(window, source) if first == "{" else None
    is_lines = first != "[" and member is None
    return JsonRecords(text, source, is_lines, member, max_characters)


def _member_with_rows(window: Window, source: Source) -> str | None:
    """The member of the first object that is the array of records; None where it is a record."""
    window.skip()
    empty: str | None = None
    while window.peek() not in ("}", ""):
        name = window.name()
        if spelling(name) in spellings(source):
            return None
        if window.peek() == "[":
            window.skip()
            if window.peek() == "]":
                empty = empty or name
            elif _is_record(window.value("the array's first element")[0], source):
                return name
            _go_over_rest(window)
        else:
            window.value(f"the member {name[:40]!r}")
        if window.peek() == ",":
            window.skip()
    return empty


def _go_over_rest(window: Window) -> None:
    """To behind the array's end; its first element was taken, or there is none."""
    while window.take(",]", "in an array") == ",":
        window.value("an array's element")


def _is_record(value: Any, source: Source) -> bool:
    names = spellings(source)
    return isinstance(value, Pairs) and any(spelling(name) in names for name, _ in value)


def _values(window: Window) -> Iterator[Element]:
    number = 0
    while window.peek():
        number += 1
        yield window.value(f"record {number:,}")


def _array(window: Window) -> Iterator[Element]:
    window.take("[", "where the array begins")
    if window.peek() == "]":
        window.skip()
        return
    number = 1
    yield window.value("record 1")
    while window.take(",]", f"after record {number:,}") == ",":
        number += 1
        yield window.value(f"record {number:,}")


def _wrapped(window: Window, member: str, source: Source) -> Iterator[Element]:
    """Elements of the member. Other members say something of the file and are no rows."""
    window.take("{", "where the object begins")
    is_first, has_rows = True, False
    while is_first or window.take(",}", "after a member") == ",":
        is_first = False
        name = window.name()
        if name == member and not has_rows:
            has_rows = True
            yield from _array(window)
            continue
        value, _ = window.value(f"the member {name[:40]!r}")
        if isinstance(value, list) and any(_is_record(one, source) for one in value):
            raise FileFault("two_arrays", f"{member} and {name[:40]} both hold records; split them")


class RowMapping:
    """Objects to rows: values in the order of the source's fields, as text."""

    def __init__(self, source: Source, counts: Counts) -> None:
        self._source = source
        self._counts = counts
        self._shapes: dict[tuple[str, ...], Columns] = {}
        self._found: dict[str, None] = {}
        self._missing = set(columns_of(source, ()).missing(source))
        self._nothing: tuple[None, ...] = (None,) * len(source.fields)

    def row(self, value: Any, text: str) -> tuple[list[str | None], Extra | None, str | None]:
        """Fields, extra and defect of an element; `text` is how it stands in the file."""
        if not isinstance(value, Pairs):
            return list(self._nothing), {"": _encodable(text)}, NOT_AN_OBJECT
        names = tuple(name for name, _ in value)
        columns = self._shapes.get(names) or self._look_at(names)
        texts = _texts(value, text)
        fields = [None if index is None else texts[index] for index in columns.fields]
        return fields, {_encodable(n): texts[i] for i, n in columns.extra}, None

    def _look_at(self, names: tuple[str, ...]) -> Columns:
        columns = columns_of(self._source, names)
        if len(self._shapes) >= SHAPES_KEPT:
            self._shapes.clear()
        self._shapes[names] = columns
        self._missing.intersection_update(columns.missing(self._source))
        if len(self._found) < SHAPES_KEPT:
            self._found.update(dict.fromkeys(names))
        self._counts.add_extra_columns(_encodable(name) for _, name in columns.extra)
        return columns

    def check(self, rows: int) -> None:
        """Raises FileFault where there are rows, and none has some required field."""
        if rows and self._missing:
            missing = [name for name in self._source.field_names if name in self._missing]
            names = spellings(self._source)
            is_known = any(spelling(name) in names for name in self._found)
            raise missing_columns(self._source, missing, list(self._found) if is_known else None)


def _texts(value: Pairs, text: str) -> list[str | None]:
    """Strings as they are, null as None, anything else as it stands in the text."""
    values: list[Any] = [one for _, one in value]
    if any(isinstance(one, list) for one in values):
        members = member_texts(text)
        values = [m if isinstance(v, list) else v for v, m in zip(values, members, strict=True)]
    texts = [
        one if one is None or isinstance(one, str) else "true" if one else "false" for one in values
    ]
    if "\\u" in text:
        texts = [None if one is None else _encodable(one) for one in texts]
    return texts


def _encodable(text: str) -> str:
    """Half of a letter beyond the first 65,536, which UTF-8 has not, stays escaped: `\\ud83d`."""
    return text.encode("utf-8", "backslashreplace").decode()
