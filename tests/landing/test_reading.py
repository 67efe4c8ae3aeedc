"""Files to rows: every row of every kind of file, or a reason with its place."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.landing import delimited, json_records, json_window
from lake.landing.columns import spelling
from lake.landing.faults import FileFault
from schemas.records import SOURCES
from tests.landing.files import ASSESSMENT, ATTENDANCE, GOOD, HEADER, Row, read, reading, rows_read

LINE_END = re.compile(r"\r\n|\r|\n")
LATIN = "ab0 ,;\t|\"\n\räé'"
SPELLINGS = {
    "attendance_id": ("attendance_id", "ATTENDANCE-ID", " id "),
    "student_id": ("student_id", "Student ID", "learner/id"),
    "attendance_date": ("attendance_date", "Date"),
    "status": ("status", "Attendance Status"),
    "created_at": ("created_at", "created"),
}


@dataclass(frozen=True)
class Written:
    """A file and the rows that were written into it."""

    body: bytes
    rows: list[Row]
    encoding: str
    delimiter: str


@st.composite
def written_files(draw: Any) -> Written:
    encoding = draw(
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
    )
    values = st.text(LATIN if encoding == "cp1252" else LATIN + "日😀\u2028\x85", max_size=6)
    delimiter = draw(st.sampled_from(delimited.DELIMITERS))
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    names = draw(st.lists(st.sampled_from(["note", "Größe", "x|y", 'a"b', "c,d"]), unique=True))
    order = draw(st.permutations([*ATTENDANCE, *names]))
    header = [draw(st.sampled_from(SPELLINGS.get(name, (name,)))) for name in order]
    text = _record(header, delimiter, draw(st.booleans())) + line_end
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 6))):
        width = draw(st.one_of(st.just(len(order)), st.integers(0, len(order) + 2)))
        cells = draw(st.lists(values, min_size=width, max_size=width))
        if width == 1:
            cells = ["x" + cells[0]]
        line = len(LINE_END.findall(text)) + 1
        text += _record(cells, delimiter, draw(st.booleans())) + line_end
        if cells:
            rows.append(_expected(order, cells, len(rows) + 1, line))
    if draw(st.booleans()) and rows:
        text = text.removesuffix(line_end)
    body = text.encode(encoding)
    if draw(st.booleans()):
        body = gzip.compress(body)
    is_ascii = encoding == "cp1252" and text.isascii()
    return Written(body, rows, "utf-8" if is_ascii else encoding, delimiter)


def _record(cells: list[str], delimiter: str, is_quoted: bool) -> str:
    def cell(value: str) -> str:
        if is_quoted or any(letter in value for letter in f'{delimiter}"\r\n'):
            return '"' + value.replace('"', '""') + '"'
        return value

    return delimiter.join(cell(value) for value in cells)


def _expected(order: list[str], cells: list[str], row: int, line: int) -> Row:
    given = dict(zip(order, cells, strict=False))
    extra: dict[str, str | None] = {n: v for n, v in given.items() if n not in ATTENDANCE}
    extra |= {f"+{n}": value for n, value in enumerate(cells[len(order) :], 1)}
    is_ragged = len(cells) != len(order)
    defect = f"ragged_row: {len(cells)} of {len(order)} fields" if is_ragged else None
    return Row(tuple(given.get(name) for name in ATTENDANCE), extra or None, defect, row, line)


@settings(max_examples=300)
@given(written_files())
def test_read__gives_what_was_written(written: Written) -> None:
    opened = reading(written.body)
    assert rows_read(opened) == written.rows
    assert (opened.encoding, opened.delimiter) == (written.encoding, written.delimiter)


@given(written_files(), st.integers(1, 3))
def test_read__gives_the_same_in_batches_of_any_size(written: Written, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delimited, "BATCH_ROWS", size)
        assert read(written.body) == written.rows


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.none(), max_size=2)
)  # fmt: skip
objects = st.fixed_dictionaries(dict.fromkeys(SOURCES["assessments"].field_names, json_values))
with_more = st.builds(
    lambda one, more: one | {f"more {name}": value for name, value in more.items()},
    objects,
    st.dictionaries(st.text("abü", max_size=2), json_values, max_size=2),
)
LAYOUTS: dict[str, Callable[[list[str]], str]] = {
    "array": lambda texts: f"\n [ {' , '.join(texts)} ]\n",
    "lines": lambda texts: "\n".join(texts) + "\n",
    "wrapped": lambda texts: '{"of": [1], "assessments": [' + ",".join(texts) + '], "n": {}}',
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60)
@given(elements=st.lists(with_more, min_size=1, max_size=4), indent=st.sampled_from([None, 1]),
       is_ascii=st.booleans(), window=st.integers(1, 40), size=st.integers(1, 3))  # fmt: skip
def test_read_json__gives_what_was_written(
    layout: str, elements: list[Any], indent: int | None, is_ascii: bool, window: int, size: int
) -> None:
    def dumped(value: Any) -> str:
        return json.dumps(value, ensure_ascii=is_ascii)

    texts = [json.dumps(one, ensure_ascii=is_ascii, indent=indent) for one in elements]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_window, "READ_CHARACTERS", window)
        patched.setattr(json_records, "BATCH_ROWS", size)
        rows = read(LAYOUTS[layout](texts), "assessments")
    for one, row in zip(elements, rows, strict=True):
        text = {n: v if v is None or isinstance(v, str) else dumped(v) for n, v in one.items()}
        names = SOURCES["assessments"].field_names
        found = dict(zip(names, row.fields, strict=True)) | (row.extra or {})
        assert {name: _compact(value) for name, value in found.items()} == {
            name: _compact(value) for name, value in text.items()
        }


def _compact(text: str | None) -> str | None:
    """Nested values keep the indentation of their file."""
    return None if text is None else re.sub(r"\s+", "", text)


def test_read_json__keeps_numbers_and_nested_values_as_they_stand() -> None:
    more = ASSESSMENT.removesuffix("}") + ', "tags" : [1.0,  {"a":NaN}], "student": "s"}'
    first, second = read(f"[{ASSESSMENT},\n{more}]", "assessments")
    assert first == Row(
        ("7", "s-1", "Art", "12.50", "2e1", "2025-09-01", None), None, None, 1, None
    )
    assert second.extra == {"tags": '[1.0,  {"a":NaN}]', "student": "s"}


def test_read_json__keeps_elements_that_are_no_objects() -> None:
    rows = read(f'[{ASSESSMENT}, [1, 2.0], null, "x\\ud83d"]', "assessments")
    assert [row.defect for row in rows] == [None, *["not_an_object"] * 3]
    assert [row.extra for row in rows[1:]] == [{"": "[1, 2.0]"}, {"": "null"}, {"": '"x\\ud83d"'}]


def test_read_json__keeps_half_a_letter_escaped() -> None:
    (row,) = read("[" + ASSESSMENT.replace("Art", "A\\ud83d") + "]", "assessments")
    assert row.fields[2] == "A\\ud83d"


def test_read_json__one_object_is_one_record() -> None:
    assert len(read(ASSESSMENT, "assessments")) == 1
    assert len(read(ASSESSMENT + ASSESSMENT, "assessments")) == 2
    assert read('{"assessments": []}', "assessments") == []


@given(st.data())
def test_read_json__no_part_of_an_array_is_taken_for_it(data: st.DataObject) -> None:
    whole = f'{{"of": "x", "assessments": [{ASSESSMENT},\n5, {ASSESSMENT}]}}'
    end = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(FileFault) as caught:
        read(whole[:end], "assessments", "x.json")
    assert caught.value.reason in ("truncated_json", "malformed_json", "missing_column")


def test_read__finds_the_separator_that_excel_names() -> None:
    (row,) = read(f"sep=;\r\n{HEADER.replace(',', ';')}\r\n1;a,b;3;4;5\r\n")
    assert row == Row(("1", "a,b", "3", "4", "5"), None, None, 1, 3)
    (row,) = read(f"sep=^\n{HEADER.replace(',', '^')}\n1^2^3^4^5\n")
    assert row.fields == ("1", "2", "3", "4", "5")


def test_read__a_header_with_blank_doubled_and_own_names() -> None:
    header = "id,,student_id,student,date,status,created,note,note,+1"
    (row,) = read(f"{header}\n1,b,s,t,d,p,c,n,m,z\n")
    assert row.fields == ("1", "s", "d", "p", "c")
    assert row.extra == {
        "#2": "b", "student": "t", "note": "n", "note#9": "m", "+1#10": "z",
    }  # fmt: skip


def test_read__the_name_of_a_field_goes_before_its_alias() -> None:
    (row,) = read(f"id,{HEADER}\n9,1,s,d,p,c\n")
    assert (row.fields[0], row.extra) == ("1", {"id": "9"})


def test_read__blank_lines_and_nul_bytes() -> None:
    rows = read(f"\n \n{HEADER}\n\n  \n1,\0,3,4,5\n\n\n,,,,\n")
    assert [(row.fields, row.line) for row in rows] == [
        (("1", "\0", "3", "4", "5"), 6), (("",) * 5, 9),
    ]  # fmt: skip


def test_read__a_header_alone_has_no_rows() -> None:
    assert read(HEADER) == []


def test_read__latin_1_where_cp1252_has_no_letter() -> None:
    opened = reading(f"{HEADER}\n1,\x81é,3,4,5\n".encode("latin-1"))
    assert rows_read(opened)[0].fields[1] == "\x81é"
    assert opened.encoding == "latin-1"


def test_spelling__is_that_of_the_fields() -> None:
    assert [spelling(n) for n in ("\ufeffE-Mail ", "Module / Lesson", "DOB")] == [
        "e_mail", "module_lesson", "dob",
    ]  # fmt: skip


FAULTS: dict[str, tuple[bytes, str, int | None, int | None]] = {
    "empty": (b"", "empty_file", None, None),
    "mark only": (b"\xef\xbb\xbf", "empty_file", None, None),
    "blank": (b"\n \r\n", "empty_file", None, None),
    "empty gzip": (gzip.compress(b""), "empty_file", None, None),
    "cut gzip": (gzip.compress(GOOD.encode())[:-9], "damaged_gzip", None, None),
    "no header": (b"1,s,2025-09-01,P,x\n", "missing_column", 1, None),
    "columns missing": (b"\nid,status\n1,P\n", "missing_column", 2, None),
    "open quote": (f'{GOOD}3,"s,d\n4,s,d,P,c\n'.encode(), "unclosed_quote", 4, 3),
    "open quote that another closes": (
        f'{GOOD}3,"s,d\n4,"t",d,P,c\n'.encode(), "unclosed_quote", 4, 3,
    ),
    "open quote on a later line": (f'{GOOD}"3\n3",s,"d,P\n'.encode(), "unclosed_quote", 5, 6),
    "open quote in the header": (b'id,"student,date\n', "unclosed_quote", 1, 4),
    "text behind a quote": (f'{GOOD}3,"s" x,d,P,c\n'.encode(), "stray_quote", 4, 6),
    "very long value": (f"{GOOD}3,{'s' * 3000},d,P,c\n".encode(), "record_too_large", 4, 3),
    "very long line": (HEADER.encode() + b",s" * 3000, "record_too_large", 1, None),
    "two encodings": (
        GOOD.encode() + "3,ä\n3,ö\n".encode() + b"4,\xe4\n", "mixed_encoding", 6, 3,
    ),
    "binary": (bytes(range(256)) * 9, "not_text", None, None),
    "workbook": (b"PK\x03\x04" + b"x" * 99, "not_text", None, None),
    "cut utf-16": (
        GOOD.encode("utf-16")[:-1], "not_text", 3, len(GOOD.splitlines()[-1]) + 1,
    ),
    "half a letter in utf-16": (
        "id,name\r\n1,Ana\r\n".encode("utf-16") + "2,".encode("utf-16-le") + b"\x00\xd8a\x00",
        "not_text", 3, 3,
    ),
    "too large": (GOOD.encode() * 99, "too_large", None, None),
    "bomb": (gzip.compress(GOOD.encode() * 99), "too_large", None, None),
}  # fmt: skip
JSON_FAULTS = {
    "cut": (f"[{ASSESSMENT},\n {ASSESSMENT[:20]}", "truncated_json", 2, 22),
    "cut after a record": (
        f"[{ASSESSMENT},\n {ASSESSMENT}", "truncated_json", 2, 2 + len(ASSESSMENT),
    ),
    "wrong value": ('[{"id": 1},\n {"id": x}]', "malformed_json", 2, 9),
    "wrong line": (f'{ASSESSMENT}\n{{"id": 1,}}\n{ASSESSMENT}', "malformed_json", 2, 10),
    "text behind": (f"[{ASSESSMENT}] x", "malformed_json", 1, len(ASSESSMENT) + 4),
    "too deep": (f"[{'[' * 99_999}", "malformed_json", 1, 2),
    "column missing": ('[{"id": 1}]', "missing_column", None, None),
    "no objects": ("[1, 2]", "missing_column", None, None),
    "two arrays": (f'{{"a": [{ASSESSMENT}], "b": [{ASSESSMENT}]}}', "two_arrays", None, None),
    "long record": (f'["{"x" * 3000}"]', "record_too_large", 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_read__refuses_with_a_reason_and_its_place(case: str) -> None:
    body, reason, line, column = FAULTS[case]
    with pytest.raises(FileFault) as caught:
        read(body, file_bytes=9_000, value_characters=1_000)
    assert (caught.value.reason, caught.value.line, caught.value.column) == (reason, line, column)


@pytest.mark.parametrize("case", JSON_FAULTS)
def test_read_json__refuses_with_a_reason_and_its_place(case: str) -> None:
    body, reason, line, column = JSON_FAULTS[case]
    with pytest.raises(FileFault) as caught:
        read(
            body,
            "assessments",
            file_bytes=200_000,
            value_characters=1_000_000 if case == "too deep" else 1_000,
        )
    assert (caught.value.reason, caught.value.line, caught.value.column) == (reason, line, column)


def test_read__names_what_is_missing_and_what_was_found() -> None:
    with pytest.raises(FileFault, match=r"needs the columns student_id, .*; found id, status$"):
        read("id,status\n1,P\n")
    with pytest.raises(FileFault) as caught:
        read("s-1,Ada Lovelace,2025\n")
    assert "Ada" not in str(caught.value)
