"""Rows as the bytes of files, in the forms in which schools export them."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

from lake.school.rows import Row
from lake.school.spelling import Speller
from schemas.records.sources import Source

Names = Literal["plain", "upper", "title", "dashed", "alias"]
Arrangement = Literal["array", "lines", "wrapped"]
Texts = dict[str, str | None]
# Headings of columns that no source declares, with the values that stand in them.
EXTRA = (("Remarks", ("", "checked; see file", 'so-called "late"')), ("Exported By", ("office",)))
SURPLUS = ("moved", "away")
EXTRA_SHARE = 0.3
NOT_OBJECTS = ('"see attachment"', "17", "[]", "null")
NUMERIC = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


@dataclass(frozen=True)
class Form:
    """How a file is written: a CSV; of JSON encoding, line end, names, extra and arrangement."""

    encoding: str = "utf-8"
    delimiter: str = ","
    end: str = "\n"
    quotes_all: bool = False
    names: Names = "plain"
    is_shuffled: bool = False
    has_extra: bool = False
    has_blank_lines: bool = False
    names_separator: bool = False
    is_gzip: bool = False
    arrangement: Arrangement = "array"


PLAIN = Form()
# Each source's files take its forms in turn; only names, titles and texts can show what Latin-1 is.
FORMS: dict[str, tuple[Form, ...]] = {
    "students": (
        Form(encoding="cp1252", delimiter=";", end="\r\n", names="title", has_extra=True),
        Form(encoding="utf-8-sig", names="upper", is_shuffled=True),
        Form(encoding="utf-16", delimiter="\t", end="\r\n"),
        PLAIN,
    ),
    "attendance": (
        PLAIN,
        Form(delimiter="|", names="alias", is_shuffled=True),
        Form(encoding="utf-8-sig", delimiter=";", end="\r\n", names_separator=True),
        Form(is_gzip=True, has_blank_lines=True),
        Form(encoding="utf-16-le", names="dashed", quotes_all=True),
        Form(end="\r", has_extra=True, is_shuffled=True),
    ),
    "assessments": (
        Form(),
        Form(encoding="utf-8-sig", arrangement="lines", names="alias"),
        Form(encoding="utf-16", arrangement="wrapped", has_extra=True, names="title"),
        Form(is_gzip=True, is_shuffled=True, end="\r\n"),
    ),
    "students_enrollment": (
        Form(encoding="cp1252", delimiter=";", names="title", has_extra=True),
        Form(delimiter="\t", names="alias", is_shuffled=True, quotes_all=True),
        Form(is_gzip=True, names="dashed", has_blank_lines=True),
    ),
    "student_progress": (
        Form(names="alias", has_extra=True, end="\r\n"),
        Form(delimiter=";", encoding="utf-8-sig", is_shuffled=True, is_gzip=True),
        Form(delimiter="|", names="upper"),
    ),
    "course_catalog": (
        Form(encoding="cp1252", names="alias"),
        Form(encoding="utf-16", delimiter="\t", names="title", is_shuffled=True),
        PLAIN,
    ),
    "support_tickets": (
        Form(delimiter=";", has_extra=True, end="\r\n"),
        Form(encoding="cp1252", names="alias", quotes_all=True),
        Form(delimiter="|", is_shuffled=True, has_blank_lines=True),
    ),
}


@dataclass(frozen=True)
class Content:
    """A file's bytes, and what a reader of them must find.

    rows: as given, those of too few fields with the reason that follows from what was cut off.
    """

    body: bytes
    rows: tuple[Row, ...]
    encoding: str
    delimiter: str | None
    extra_columns: tuple[str, ...]


def rendered(
    source: Source, rows: Sequence[Row], form: Form, speller: Speller, rng: random.Random,
    without: Sequence[str] = (),
) -> Content:  # fmt: skip
    """The file with these rows; `without` are fields that it has no column for."""
    fields = [name for name in source.field_names if name not in without]
    if form.is_shuffled:
        rng.shuffle(fields)
    texts = [speller.spell(source.name, row.record, row.texts, form.encoding) for row in rows]
    if source.format == "json":
        text = _json(source, rows, texts, fields, form, rng)
    else:
        kept = [
            _kept(source, row, of_row, fields, rng) for row, of_row in zip(rows, texts, strict=True)
        ]
        rows = [_with_reason(source, row, fields[n:]) for row, n in zip(rows, kept, strict=True)]
        text = _csv(source, rows, texts, kept, fields, form, rng)
    body = text.encode(form.encoding)
    extra = tuple(name for name, _ in EXTRA) if form.has_extra else ()
    return Content(
        body=_compressed(body) if form.is_gzip else body,
        rows=tuple(rows),
        # ASCII alone is the same in both, and UTF-8 is what it is taken for
        encoding="utf-8" if form.encoding == "cp1252" and text.isascii() else form.encoding,
        delimiter=None if source.format == "json" else form.delimiter,
        extra_columns=extra,
    )


def heading(source: Source, field: str, names: Names) -> str:
    """A field's name in a header; `alias` takes the last alias, the slashed one of a lesson."""
    aliases = next(f.aliases for f in source.fields if f.name == field)
    if names == "upper":
        return field.upper()
    if names == "title":
        return field.replace("_", " ").title()
    if names == "dashed":
        return field.replace("_", "-")
    if names == "alias" and aliases:
        return "Module/Lesson" if "module_lesson" in aliases else f"{aliases[-1]} "
    return field


def _kept(source: Source, row: Row, texts: Texts, fields: Sequence[str], rng: random.Random) -> int:
    """How many fields of a row are written: of a short one so few that a required one is lost."""
    if row.shape != "short":
        return len(fields)
    required = {field.name for field in source.fields if field.required}
    return rng.choice(
        [
            count
            for count in range(1, len(fields))
            # a line without any value would be no row
            if required & set(fields[count:]) and any(texts[name] for name in fields[:count])
        ]
    )


def _with_reason(source: Source, row: Row, lost: Sequence[str]) -> Row:
    if not lost:
        return row
    first = next(f.name for f in source.fields if f.required and f.name in lost)
    return replace(row, reason=f"{first}:missing")


def _csv(
    source: Source, rows: Sequence[Row], texts: Sequence[Texts], kept: Sequence[int],
    fields: Sequence[str], form: Form, rng: random.Random,
) -> str:  # fmt: skip
    header = [heading(source, field, form.names) for field in fields]
    if form.has_extra:
        header += [name for name, _ in EXTRA]
    lines = [f"sep={form.delimiter}"] if form.names_separator else []
    lines.append(_line(header, form))
    for row, of_row, count in zip(rows, texts, kept, strict=True):
        values = [of_row[field] or "" for field in fields[:count]]
        if form.has_extra and count == len(fields):
            values += [rng.choice(choices) for _, choices in EXTRA]
        if row.shape == "long":
            values += SURPLUS[: rng.randrange(1, len(SURPLUS) + 1)]
        lines.append(_line(values, form))
        if form.has_blank_lines and rng.random() < 0.1:
            lines.append("")
    if form.has_blank_lines:
        lines.append("")
    return form.end.join(lines) + form.end


def _line(values: Sequence[str], form: Form) -> str:
    return form.delimiter.join(_quoted(value, form) for value in values)


def _quoted(value: str, form: Form) -> str:
    needs_quotes = form.quotes_all or any(c in value for c in (form.delimiter, '"', "\r", "\n"))
    return '"' + value.replace('"', '""') + '"' if needs_quotes else value


def _json(
    source: Source, rows: Sequence[Row], texts: Sequence[Texts], fields: Sequence[str],
    form: Form, rng: random.Random,
) -> str:  # fmt: skip
    """Numbers that JSON can write are numbers in two of three objects, else text."""
    items = []
    for row, of_row in zip(rows, texts, strict=True):
        if row.shape == "no_object":
            items.append(rng.choice(NOT_OBJECTS))
            continue
        has_numbers = rng.random() < 2 / 3
        members = [
            f"{json.dumps(heading(source, field, form.names).strip())}: "
            f"{_json_value(field, of_row[field], has_numbers)}"
            for field in fields
        ]
        if form.has_extra and rng.random() < EXTRA_SHARE:
            members += [f"{json.dumps(name)}: {json.dumps(values[0])}" for name, values in EXTRA]
        items.append("{" + ", ".join(members) + "}")
    if form.arrangement == "lines":
        return "".join(f"{item}{form.end}" for item in items)
    array = "[" + form.end + f",{form.end}".join(items) + form.end + "]"
    return array + form.end if form.arrangement == "array" else f'{{"{source.name}": {array}}}'


def _json_value(field: str, text: str | None, has_numbers: bool) -> str:
    if text and has_numbers and field in ("score", "max_score") and NUMERIC.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _compressed(body: bytes) -> bytes:
    packed = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=4, mtime=0) as file:
        file.write(body)
    return packed.getvalue()
