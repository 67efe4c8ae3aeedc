"""Records out of files: every shape, any cut between chunks, damage, bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.decompression import CorruptCompressionError, plain_chunks
from lake.errors import LakeError
from lake.sources import SourceRecord, find_files, opened_source
from lake.splitting import choose_splitter, split_lines, split_values

OBJECTS = [{"a": 1, "t": 'x"}{,]['}, {"b": {"c": [1, {"d": "\\"}]}}, {"e": "é😀\\"}]
LIMIT = 1_000


def read(path: Path, limit: int = LIMIT) -> list[SourceRecord]:
    with opened_source(path) as source:
        return list(source.records(limit))


def values(path: Path) -> list[object]:
    return [json.loads(record.raw) for record in read(path)]


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))


def as_text(shape: str) -> str:
    dumped = [json.dumps(o) for o in OBJECTS]
    return {
        "lines": "\n".join(dumped) + "\n",
        "no last newline": "\n".join(dumped),
        "blank lines": "\n\n".join(dumped) + "\n \n",
        "carriage returns": "\r\n".join(dumped) + "\r\n",
        "byte order mark": "\ufeff" + "\n".join(dumped),
        "array": json.dumps(OBJECTS),
        "pretty array": json.dumps(OBJECTS, indent=2) + "\n",
        "pretty values": "\n".join(json.dumps(o, indent=4) for o in OBJECTS),
        "values on one line": "".join(dumped),
        "two arrays": json.dumps(OBJECTS[:1]) + json.dumps(OBJECTS[1:]),
    }[shape]


SHAPES = ["lines", "no last newline", "blank lines", "carriage returns", "byte order mark"]
SHAPES += ["array", "pretty array", "pretty values", "values on one line", "two arrays"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".log"])
def test_records__takes_every_shape(tmp_path: Path, shape: str, suffix: str) -> None:
    body = as_text(shape).encode()
    path = tmp_path / f"events{suffix}"
    path.write_bytes(gzip.compress(body) if suffix.endswith(".gz") else body)
    assert values(path) == OBJECTS
    assert [record.offset for record in read(path)] == [0, 1, 2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_choose_splitter__does_not_depend_on_chunks(shape: str, size: int) -> None:
    pieces = choose_splitter("x.json", chunked(as_text(shape).encode(), size), LIMIT)
    assert [json.loads(piece.raw) for piece in pieces] == OBJECTS


texts = st.recursive(
    st.none() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), texts), max_size=5), st.integers(1, 20))
def test_split_values__gives_the_elements_of_any_array(items: list[object], size: int) -> None:
    body = json.dumps(items, indent=1, ensure_ascii=False).encode()
    assert [json.loads(p.raw) for p in split_values(chunked(body, size), 10**6)] == items


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50), st.integers(1, 30))
def test_split_lines__loses_no_byte(lines: list[bytes], size: int, limit: int) -> None:
    body = b"\n".join(lines)
    expected = [line for line in body.split(b"\n") if line and not line.isspace()]
    pieces = [
        piece.raw if piece.large is None else _content(piece.large)
        for piece in split_lines(chunked(body, size), limit)
    ]
    assert [p for p in pieces if not p.isspace()] == expected


def _content(file: object) -> bytes:
    assert hasattr(file, "seek")
    assert hasattr(file, "read")
    file.seek(0)
    content: bytes = file.read()
    return content


def test_records__malformed_first_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1\n{"b": 2}\n{"c": 3}\n')
    assert [r.raw for r in read(path)] == [b'{"a": 1', b'{"b": 2}', b'{"c": 3}']


def test_records__broken_element_keeps_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, {"b": nope}, {"c": "unclosed}, {"d": 4}]')
    raws = [r.raw for r in read(path)]
    assert raws[:2] == [b'{"a": 1}', b'{"b": nope}']
    assert b"".join(raws[2:]) == b'{"c": "unclosed}, {"d": 4}]'


def test_records__large_record_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    big = b'{"x":"' + b"y" * 10_000_000 + b'"}'
    path.write_bytes(b'{"a":1}\n' + big + b'\n{"b":2}\n')
    first, large, last = read(path, 1_000_000)
    assert (first.raw, last.raw) == (b'{"a":1}', b'{"b":2}')
    assert large.error is not None
    assert large.error[0] == "too_large"
    assert large.large is not None
    assert _content(large.large) == big
    assert len(large.raw) == 1_000


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_records__truncated_gzip_gives_complete_lines_then_one_error(
    tmp_path: Path, kept: float
) -> None:
    lines = [json.dumps({"n": n, "x": os.urandom(20).hex()}).encode() for n in range(5_000)]
    body = gzip.compress(b"\n".join(lines) + b"\n")
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(body[: int(len(body) * kept)])
    *sound, last = read(path)
    assert [record.raw for record in sound] == lines[: len(sound)]
    assert last.error is not None
    assert last.error[0] == "corrupt_compression"
    assert (lines[len(sound)] if len(sound) < len(lines) else b"").startswith(last.raw)
    assert len(sound) >= (0 if kept < 0.1 else int(5_000 * (kept - 0.1)))


def test_records__damaged_gzip_keeps_what_follows(tmp_path: Path) -> None:
    lines = [json.dumps({"n": n, "x": os.urandom(20).hex()}).encode() for n in range(5_000)]
    body = bytearray(gzip.compress(b"\n".join(lines) + b"\n"))
    middle = len(body) // 2
    body[middle : middle + 4_000] = b"\xff" * 4_000
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(body)
    records = read(path, 10**7)
    errors = [record for record in records if record.error]
    assert len(errors) == 1
    assert errors[0] is records[-1]
    assert len(records) > 2_000
    assert records[0].raw == lines[0]
    assert errors[0].large is not None
    assert bytes(body).endswith(_content(errors[0].large)[-100:])


def test_records__several_members_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"b":2}\n') + b"\0" * 100)
    assert values(path) == [{"a": 1}, {"b": 2}]
    path.write_bytes(gzip.compress(b'{"a":1}\n') + b"rubbish")
    assert [r.error[0] if r.error else r.raw for r in read(path)] == [
        b'{"a":1}',
        "corrupt_compression",
    ]


@given(st.integers(0, 400), st.integers(0, 255))
def test_plain_chunks__gives_a_prefix_whatever_is_damaged(place: int, byte: int) -> None:
    plain = os.urandom(300)
    body = bytearray(gzip.compress(plain))
    body[place % len(body)] = byte
    given_back = io.BytesIO()
    try:
        for chunk in plain_chunks(iter((bytes(body),))):
            given_back.write(chunk)
    except CorruptCompressionError:
        pass
    assert len(given_back.getvalue()) <= max(300, len(body))


@pytest.mark.parametrize(
    "body", [b"", b"\n\n  \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0), b"[]"]
)
def test_records__empty_files_have_none(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(body)
    assert read(path) == []


def test_records__memory_is_bounded(tmp_path: Path) -> None:
    line = b'{"x":"' + b"y" * 500 + b'"}\n'
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(line * 1_000)  # 150 MB
        file.write(b'{"x":"' + b"z" * 100_000_000)  # and one line of 100 MB
    tracemalloc.start()
    with opened_source(path) as source:
        count = 0
        for record in source.records(1_000_000):
            count += 1
            if record.large:
                record.large.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 300_001
    assert peak < 100_000_000  # a chunk of compressed bytes may give 64 MB at once


def test_records__refuses_a_file_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n' * 10)
    with opened_source(path) as source:
        records = source.records(LIMIT)
        next(records)
        path.write_bytes(b"x")
        with pytest.raises(LakeError, match="was changed"):
            list(records)


def test_records__a_growing_file_is_read_as_it_was_hashed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n')
    with opened_source(path) as source:
        with path.open("ab") as more:
            more.write(b'{"b":2}\n')
        assert len(list(source.records(LIMIT))) == 1


def test_find_files__searches_sorted_and_leaves_hidden_out(tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "a/1.JSON.GZ", ".hidden.json", ".d/x.json", "notes.txt", "z.ndjson"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files, passed_over = find_files([str(tmp_path), str(tmp_path / "b/2.jsonl")])
    found = [file.relative_to(tmp_path).as_posix() for file in files]
    assert found == ["z.ndjson", "a/1.JSON.GZ", "b/2.jsonl"]
    assert [file.name for file in passed_over] == ["notes.txt"]
    with pytest.raises(LakeError, match="no file or folder"):
        find_files([str(tmp_path / "nope")])
