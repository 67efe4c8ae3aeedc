"""The made-up campus: the same bytes each time, and exactly the faults that it tells of."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from lake.campus import Campus, write_campus
from lake.catalog import read_catalog
from lake.validation import Accepted, Validator

STUDENTS, DAYS = 12, 8


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Campus:
    return write_campus(tmp_path_factory.mktemp("campus"), STUDENTS, DAYS)


def lines_of(campus: Campus) -> list[bytes]:
    return [
        line
        for path in campus.files
        for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
    ]


def valid_lines(campus: Campus) -> list[bytes]:
    validator, now = Validator(), datetime.now(UTC)
    return [line for line in lines_of(campus) if isinstance(validator.check(line, now), Accepted)]


def test_write_campus__writes_the_same_bytes_again(campus: Campus, tmp_path: Path) -> None:
    again = write_campus(tmp_path, STUDENTS, DAYS)
    other = write_campus(tmp_path / "other", STUDENTS, DAYS, seed=8)
    assert [p.read_bytes() for p in again.files] == [p.read_bytes() for p in campus.files]
    assert again.catalog.read_bytes() == campus.catalog.read_bytes()
    assert lines_of(other) != lines_of(campus)


def test_write_campus__tells_what_validation_finds(campus: Campus) -> None:
    now = datetime.now(UTC)
    validator = Validator()
    checked = [validator.check(line, now) for line in lines_of(campus)]
    accepted = [item for item in checked if isinstance(item, Accepted)]
    rejected = Counter(item.reason for item in checked if not isinstance(item, Accepted))
    assert rejected == campus.rejected
    bodies = {item.line for item in accepted}
    identities = {(item.date, item.event_id) for item in accepted}
    assert len(checked) == campus.records
    assert len(identities) == campus.events
    assert len(bodies) - len(identities) == campus.conflicting_duplicates
    assert len(accepted) - len(bodies) == campus.identical_duplicates


def test_write_campus__has_every_quirk(campus: Campus) -> None:
    assert len(campus.rejected) == 9
    assert min(campus.late, campus.without_offset, campus.with_local_offset) > 0
    assert min(campus.exact_gaps, campus.midnight_sessions, campus.conflicting_duplicates) > 0
    kinds = Counter(orjson.loads(line)["event_type"] for line in valid_lines(campus))
    assert set(kinds) == {"page_view", "quiz_attempt", "video_play", "submit_assignment"}


def test_write_campus__counts_how_times_are_written(campus: Campus) -> None:
    times = {(e["event_id"], e["timestamp"]) for e in map(orjson.loads, valid_lines(campus))}
    assert len(times) == campus.events
    local = sum(text.endswith("+05:30") for _, text in times)
    assert local == campus.with_local_offset
    assert len(times) - local - sum(t.endswith("Z") for _, t in times) == campus.without_offset


def test_write_campus__names_every_chapter_in_the_catalogue(campus: Campus) -> None:
    assert len(read_catalog(campus.catalog)) == 11
