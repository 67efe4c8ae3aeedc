"""Which column of a file is which field of its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lake.landing.faults import FileFault
from schemas.records import Source

SEPARATORS = re.compile(r"[\s\-/_]+")
# The names of what lies beyond the header in a row with too many fields.
SURPLUS = re.compile(r"\+\d+")
SHOWN_NAMES = 20
SHOWN_LETTERS = 40


def spelling(name: str) -> str:
    """A header's name as fields are spelled: `E-Mail ` is `e_mail`."""
    return SEPARATORS.sub("_", name.strip("\ufeff \t\r\n\0\u200b\u00a0").casefold())


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the values of a row go.

    fields: for each field of the source the index of its column, None where there is none.
    extra: (index, name) of every other column; the names differ from one another.
    """

    fields: tuple[int | None, ...]
    extra: tuple[tuple[int, str], ...]
    width: int

    def missing(self, source: Source) -> list[str]:
        """Required fields without a column."""
        pairs = zip(source.fields, self.fields, strict=True)
        return [field.name for field, index in pairs if field.required and index is None]

    @property
    def known(self) -> int:
        """How many fields have a column."""
        return sum(index is not None for index in self.fields)


def columns_of(source: Source, header: Sequence[str]) -> Columns:
    """The columns of a header. A field's own name goes before its aliases; of two columns that
    name the same field the first is taken, and the other is an extra one.
    """
    names = [spelling(name) for name in header]
    indices: list[int | None] = [_first(names, (field.name,)) for field in source.fields]
    for number, field in enumerate(source.fields):
        if indices[number] is None:
            indices[number] = _first(names, field.aliases)
    taken = {index for index in indices if index is not None}
    rest = [index for index in range(len(header)) if index not in taken]
    return Columns(tuple(indices), _distinct(header, rest), len(header))


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((index for index, name in enumerate(names) if name in wanted), None)


def _distinct(header: Sequence[str], rest: Sequence[int]) -> tuple[tuple[int, str], ...]:
    """Names as in the header; one that is blank or taken gets its place: `#3`, `name#3`."""
    used: dict[str, int] = {}
    for index in rest:
        name = header[index]
        if not name.strip() or name in used or SURPLUS.fullmatch(name):
            name = f"{name.strip()}#{index + 1}"
        while name in used:  # a header that holds such a name itself
            name += "#"
        used[name] = index
    return tuple((index, name) for name, index in used.items())


def check_columns(source: Source, header: Sequence[str], line: int | None) -> Columns:
    """The columns of the file's header, which must name every required field.

    Raises FileFault that names the missing ones, and those found where any is known: what has no
    known name may be a row of data, which belongs in no message.
    """
    columns = columns_of(source, header)
    if not (missing := columns.missing(source)):
        return columns
    raise missing_columns(source, missing, header if columns.known else None, line)


def missing_columns(
    source: Source, missing: Sequence[str], found: Sequence[str] | None, line: int | None = None
) -> FileFault:
    """The fault of a file without the columns `missing`; `found` are those that it has."""
    if found is None and line is None:
        has = "no object has any of them"
    elif found is None:
        has = "the first row names no column of it (is the header missing?)"
    else:
        shown = found or ()
        names = [name.strip()[:SHOWN_LETTERS] or "(blank)" for name in shown]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        has = f"found {', '.join(names[:SHOWN_NAMES])}{more}"
    noun = "column" if len(missing) == 1 else "columns"
    return FileFault(
        "missing_column", f"{source.name} needs the {noun} {', '.join(missing)}; {has}", line
    )


@cache
def spellings(source: Source) -> frozenset[str]:
    """Every name and alias of the source's fields."""
    return frozenset(name for field in source.fields for name in (field.name, *field.aliases))
