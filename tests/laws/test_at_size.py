"""What `python -m tests.laws.at_size` relies on: how it compares, and the history that it writes.

The whole of it is too long for each run; tests/streaming/test_query.py has it in small.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson

from lake.timestamps import to_microseconds
from lake.validation import Accepted, Limits, Validator
from tests.laws.big_history import write_history
from tests.laws.comparing_lakes import Compared, compared_tables

ONE = "(DATE '2025-09-01', 'a', 0.1::DOUBLE + 0.2::DOUBLE, {'n': 1, 'of': [1, 2]})"
TWO = "(DATE '2025-09-02', 'b', 1.5::DOUBLE, NULL)"


def compared(expected: list[str], found: list[str]) -> Compared:
    with duckdb.connect() as connection:
        for name, rows in (("expected", expected), ("found", found)):
            connection.execute(
                f"CREATE TABLE {name} AS SELECT * FROM (VALUES {', '.join(rows)}) "
                "AS t(day, id, seconds, more)"
            )
        columns = ["day", "id", "seconds", "more"]
        return compared_tables(connection, "expected", "found", columns, ["day", "id"])


def test_compared_tables__order_does_not_count_and_number_does() -> None:
    assert compared([ONE, TWO, TWO], [TWO, ONE, TWO]) == Compared(3, 3, 0, 0, "")
    doubled = compared([TWO, ONE], [ONE, TWO, TWO])
    assert (doubled.expected, doubled.found, doubled.missing, doubled.surplus) == (2, 3, 0, 1)
    assert doubled.example.startswith("day 2025-09-02, id b: row too many: ")
    lost = compared([ONE, ONE, TWO], [TWO])
    assert (lost.missing, lost.surplus) == (2, 0)
    assert lost.example.startswith("day 2025-09-01, id a: row missing: ")


def test_compared_tables__sees_a_last_bit_a_null_and_what_lies_within() -> None:
    rounded = compared([ONE, TWO], [ONE.replace("0.1::DOUBLE + 0.2", "0.3"), TWO])
    assert (rounded.missing, rounded.surplus, rounded.is_equal) == (1, 1, False)
    assert rounded.example == (
        "day 2025-09-01, id a: seconds should be 0.30000000000000004, is 0.3"
    )
    assert not compared([ONE, TWO], [ONE, TWO.replace("1.5::DOUBLE", "NULL")]).is_equal
    assert not compared([ONE], [ONE.replace("[1, 2]", "[2, 1]")]).is_equal


def test_write_history__is_valid_late_doubled_and_bridged(tmp_path: Path) -> None:
    written = write_history(tmp_path, 6_000, 4, seed=1)
    assert written.records == 6_000
    assert written.kinds["duplicate"] + written.kinds["conflict"] >= 250
    assert min(written.kinds["conflict"], written.kinds["bridge"]) >= 20
    assert written.late >= 300
    lines = [line for piece in written.pieces for path in piece for line in path.open("rb")]
    assert len(lines) == 6_000
    check, now = Validator(Limits()).check_at, to_microseconds(datetime.now(UTC))
    events = [check(line, now) for line in lines]
    assert all(isinstance(event, Accepted) for event in events)
    days = Counter(event.date for event in events if isinstance(event, Accepted))
    assert len(days) >= 30
    times = Counter(orjson.loads(line)["event_id"] for line in lines)
    assert sum(count - 1 for count in times.values()) >= 250
    again = write_history(tmp_path / "again", 6_000, 4, seed=1)
    for piece, same in zip(written.pieces, again.pieces, strict=True):
        assert [path.read_bytes() for path in piece] == [path.read_bytes() for path in same]
