"""Files into the raw zone: laws 1, 3 and 4, real statements, bad input."""

from __future__ import annotations

import gzip
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cli import cli
from lake.storage import open_store
from tests.lake.raw_zone import RawZone, event, write_lines
from tests.pipelines.killing import files_below
from tests.services import Minio

SKIPPED = {"event_id": "x", "event_type": "login"}


def test_ingest_files__real_statements(lake_root: Path, xapi_statements: Path) -> None:
    zone = RawZone(lake_root)
    (report,) = zone.ingest(xapi_statements)
    assert (report.topic, report.records, report.raw) == ("xapi", 22_000, 22_000)
    assert not report.quarantined
    events = [orjson.loads(line) for line in zone.lines()]
    assert len(events) == 22_000
    assert len({e["student_id"] for e in events}) == 1_452
    assert len(set(zone.ledger.rows()["date"].to_pylist())) == 8
    zone.check_conservation({report.source: 22_000})
    (again,) = zone.ingest(xapi_statements)
    assert again.is_known
    assert again.raw == 0


def test_ingest_files__real_statements_in_shuffled_pieces(
    lake_root: Path, tmp_path: Path, xapi_statements: Path
) -> None:
    whole = RawZone(lake_root / "whole")
    whole.ingest(xapi_statements)
    lines = gzip.decompress(xapi_statements.read_bytes()).splitlines()
    random.Random(3).shuffle(lines)
    pieces = [write_lines(tmp_path / f"{i}.jsonl", lines[i::50]) for i in range(50)]
    zone = RawZone(lake_root / "pieces")
    reports = zone.ingest(*pieces)
    assert zone.lines() == whole.lines()
    zone.check_conservation({r.source: 440 for r in reports})


records = st.lists(
    st.integers(0, 6).map(event)
    | st.just(SKIPPED)
    | st.sampled_from([b"{", b"\xff", b"[]", b'{"a":1,"a":2}']),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(records, min_size=1, max_size=4), st.integers(1, 5), st.randoms())
def test_ingest_files__any_order_flush_and_repetition(
    files: list[list[Any]], flush: int, chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [write_lines(folder / f"{i}.jsonl", body) for i, body in enumerate(files)]
        order = paths + chance.sample(paths, k=len(paths))
        zone = RawZone(folder / "lake")
        reports = zone.ingest(*order, flush_records=flush)
        distinct = {path.read_bytes(): body for path, body in zip(paths, files, strict=True)}
        good = [
            orjson.dumps(r, option=orjson.OPT_SORT_KEYS)
            for b in distinct.values()
            for r in b
            if isinstance(r, dict) and r is not SKIPPED
        ]
        assert zone.lines() == Counter(good)
        bad = [r for b in distinct.values() for r in b if isinstance(r, bytes) or r is SKIPPED]
        assert len(zone.quarantined()) == len(bad)
        sizes = {report.source: report.records for report in reports}
        zone.check_conservation(sizes)
        before = zone.ledger.rows(is_quarantine=None)
        zone.ingest(*reversed(order), flush_records=flush + 1)
        assert zone.ledger.rows(is_quarantine=None) == before


def test_ingest_files__bad_input_corpus(lake_root: Path, tmp_path: Path) -> None:
    hostile = "'; DROP TABLE x; --=1+1"
    body: list[Any] = [
        (b"\0" * 50, "malformed_json"),
        (b'{"event_id":"\xff"}', "invalid_utf8"),
        (b'{"x":"' + b"y" * 10_000_000 + b'"}', "too_large"),
        (orjson.dumps(event(1))[:-1] + b',"event_id":"2"}', "duplicate_key"),
        (orjson.dumps(event(1))[:-1] + b',"metadata":{"duration":NaN}}', "malformed_json"),
        (event(1, student_id=7), "schema_violation"),
        ({k: v for k, v in event(1).items() if k != "event_id"}, "schema_violation"),
        (event(2, timestamp="1970-01-01T00:00:00Z"), None),
        (event(3, timestamp="2099-01-01T00:00:00Z"), "in_future"),
        (event(4, timestamp="2025-11-10T08:30:00"), None),
        (event(5, timestamp="2025-11-10T01:30:00+05:30"), None),
        (event(6, timestamp="2016-12-31T23:59:60Z"), "invalid_timestamp"),
        (event(7, student_id=hostile, course_id=hostile, metadata={"verb": hostile}), None),
        (event(8, metadata={"a": {"b": {"c": {"d": [1]}}}}), None),
        (event(9, event_type="login"), "unknown_event_type"),
        (event(9, schema_version="7.0"), "unknown_schema_version"),
        (b"[1]", "not_an_object"),
    ]
    file = write_lines(tmp_path / "bad.jsonl", [record for record, _ in body])
    packed = gzip.compress(write_lines(tmp_path / "x", [event(n) for n in range(999)]).read_bytes())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(packed[:-30])
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    zone = RawZone(lake_root)
    bad, truncated, nothing = zone.ingest(file, cut, empty)
    expected = Counter(reason for _, reason in body if reason)
    assert bad.quarantined == expected
    assert bad.raw == sum(reason is None for _, reason in body)
    assert truncated.quarantined == {"corrupt_compression": 1}
    assert nothing.records == 0
    zone.check_conservation({bad.source: len(body), truncated.source: truncated.records})
    days = set(zone.ledger.rows()["date"].to_pylist())
    assert {date(1970, 1, 1), date(2025, 11, 9)} < days
    large = next(r for r in zone.quarantined() if r["reason"] == "too_large")
    assert zone.store.get(large["raw_object"]) == body[2][0]
    utf8 = next(r for r in zone.quarantined() if r["reason"] == "invalid_utf8")
    assert "raw_base64" in utf8


def test_ingest_files__two_processes_with_different_files(lake_root: Path, tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{n}.jsonl", [event(n), event(n + 1)]) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda file: RawZone(lake_root).ingest(file, flush_records=1), files))
    zone = RawZone(lake_root)
    assert zone.lines().total() == 16
    assert zone.ledger.rows().num_rows == 16


def test_ingest_files__on_s3(minio: Minio, tmp_path: Path) -> None:
    zone = RawZone(open_store(minio.settings()))
    file = write_lines(tmp_path / "a.jsonl", [event(n) for n in range(50)] + [SKIPPED, b"{"])
    (report,) = zone.ingest(file, flush_records=7)
    assert zone.lines().total() == 50
    assert {r["reason"] for r in zone.quarantined()} == {"unknown_event_type", "malformed_json"}
    zone.check_conservation({report.source: 52})
    assert zone.ingest(file)[0].is_known


INGEST = """
import sys
from pathlib import Path
from tests.lake.raw_zone import RawZone
RawZone(Path(sys.argv[1])).ingest(Path(sys.argv[2]), flush_records=60)
"""


@pytest.mark.slow
def test_ingest_files__killed_at_any_instant(lake_root: Path, tmp_path: Path) -> None:
    body = [event(n) if n % 7 else b"{" for n in range(6_000)]
    file = write_lines(tmp_path / "a.jsonl", body)
    command = [sys.executable, "-c", INGEST, str(lake_root), str(file)]
    chance = random.Random(7)
    kills = 0
    for _ in range(60):
        process = subprocess.Popen(command)
        if kills < 12:
            _wait_for_growth(lake_root, chance.randint(1, 12), process)
            time.sleep(chance.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    zone = RawZone(lake_root)
    (report,) = zone.ingest(file, flush_records=60)
    assert report.is_known
    assert kills >= 10
    good = [orjson.dumps(r, option=orjson.OPT_SORT_KEYS) for r in body if isinstance(r, dict)]
    assert zone.lines() == Counter(good)
    assert len(zone.quarantined()) == len(body) - len(good)
    zone.check_conservation({report.source: len(body)})


def _wait_for_growth(folder: Path, files: int, process: subprocess.Popen[bytes]) -> None:
    """Until the process has added so many files, so that the kill meets it at work."""
    before = files_below(folder)
    while process.poll() is None and files_below(folder) < before + files:
        time.sleep(0.002)


@pytest.fixture
def lmslake(lake_root: Path) -> Callable[..., str]:
    def run(*arguments: str, stdin: bytes | None = None) -> str:
        environment = {"LMSLAKE_ROOT": str(lake_root)}
        result = CliRunner().invoke(
            cli, arguments, input=stdin, env=environment, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_command__says_what_it_did(lmslake: Callable[..., str], tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [event(1), SKIPPED])
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty.json").touch()
    dry = lmslake("ingest", "--dry-run", str(file))
    assert "1 would be in raw, 1 would be in quarantine" in dry
    first = lmslake("ingest", str(tmp_path))
    assert "2 files, 2 records" in first
    assert "1 now in raw, 1 now in quarantine" in first
    assert "unknown_event_type" in first
    assert "empty.json: empty" in first
    assert "notes.txt" in first
    assert "lmslake build" in first
    assert "already ingested (2 records)" in lmslake("ingest", str(file))
    assert "already ingested" in lmslake("ingest", "-", stdin=file.read_bytes())


def test_command__age_limit_and_format(lmslake: Callable[..., str], tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [event(1)])
    assert "too_old" in lmslake("ingest", "--max-event-age", "1", "--dry-run", str(file))
    assert "unmapped_statement" in lmslake("ingest", "--format", "xapi", str(file))


def test_command__wrong_use(lake_root: Path) -> None:
    run = CliRunner().invoke
    assert run(cli, ["ingest"]).exit_code == 2
    assert run(cli, ["ingest", "--format", "csv", "x"]).exit_code == 2
    result = run(cli, ["ingest", str(lake_root / "nope")], env={"LMSLAKE_ROOT": str(lake_root)})
    assert "no file or folder" in str(result.exception)
