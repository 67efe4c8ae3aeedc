"""Rejected records: counted, shown, replayed once; law 1 holds over replays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.cli import cli
from lake.ledger import Ledger
from lake.quarantine import ReplayReport, Selection, quarantine_counts, replay
from lake.storage import open_store
from lake.storage_local import LocalStore
from lake.validation import Limits
from schemas import events
from tests.lake.raw_zone import RawZone, event, write_lines
from tests.services import Minio

WIDE = Limits(timedelta(days=100_000))


@pytest.fixture
def zone(lake_root: Path, tmp_path: Path) -> RawZone:
    zone = RawZone(lake_root)
    body: list[Any] = [
        event(0),
        event(1, timestamp="2099-01-01T00:00:00Z"),
        b"{",
        event(2, timestamp="2098-01-01T00:00:00Z"),
        event(3, event_type="login"),
        b'{"event_id":"\xff"}',
        event(4, metadata={"verb": "x" * 5_000}),
    ]
    zone.ingest(write_lines(tmp_path / "a.jsonl", body), max_record_bytes=4_000)
    return zone


def run(
    zone: RawZone, *reasons: str, limits: Limits = WIDE, max_bytes: int = 4_000
) -> ReplayReport:
    selection = Selection(reasons=frozenset(reasons))
    return replay(zone.store, zone.ledger, selection, lambda topic: limits, max_bytes)


def source_of(zone: RawZone) -> str:
    source: str = zone.ledger.rows()["source"][0].as_py()
    return source


def counts(zone: RawZone) -> dict[str, int]:
    return {reason: count for *_, reason, count in quarantine_counts(zone.ledger)}


def test_replay__passing_records_leave_and_the_rest_stays(zone: RawZone) -> None:
    report = run(zone, "in_future")
    assert (report.objects, report.tried, report.passed) == (1, 2, 2)
    assert {day.year for day in report.dates} == {2098, 2099}
    assert counts(zone) == {
        "invalid_utf8": 1,
        "malformed_json": 1,
        "too_large": 1,
        "unknown_event_type": 1,
    }
    assert zone.lines().total() == 3
    zone.check_conservation({source_of(zone): 7})


def test_replay__twice_adds_nothing(zone: RawZone) -> None:
    run(zone)
    before = zone.ledger.rows(is_quarantine=None)
    report = run(zone)
    assert (report.tried, report.passed) == (4, 0)
    assert zone.ledger.rows(is_quarantine=None) == before
    assert run(zone, "in_future").tried == 0


def test_replay__after_a_schema_was_added(
    zone: RawZone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(events.FOLDER, tmp_path / "schemas"))
    schema = (folder / "page_view" / "1.0.json").read_text().replace("page_view", "login")
    (folder / "login").mkdir()
    (folder / "login" / "1.0.json").write_text(schema)
    assert run(zone, "unknown_event_type").passed == 0
    with monkeypatch.context() as patched:
        patched.setattr(events, "FOLDER", folder)
        # What the process has read already is as it was.
        patched.setattr("lake.validation.schemas", events.schemas.__wrapped__)
        assert run(zone, "unknown_event_type").passed == 1
    assert "unknown_event_type" not in counts(zone)
    assert any(b'"event_type":"login"' in line for line in zone.lines())
    zone.check_conservation({source_of(zone): 7})


def test_replay__of_a_record_that_was_too_large(zone: RawZone) -> None:
    assert run(zone, "too_large").passed == 0
    assert run(zone, "too_large", max_bytes=1_000_000).passed == 1
    assert any(b"x" * 5_000 in line for line in zone.lines())
    zone.check_conservation({source_of(zone): 7})


def test_replay__that_helps_nothing_writes_nothing(zone: RawZone, lake_root: Path) -> None:
    before = sorted(LocalStore(lake_root).list("events")), zone.ledger.rows(is_quarantine=None)
    report = run(zone, limits=Limits())
    assert report.tried == 6
    assert report.failed.total() == 6
    assert sorted(LocalStore(lake_root).list("events")) == before[0]
    assert zone.ledger.rows(is_quarantine=None) == before[1]


def test_replay__under_other_limits_leaves_what_can_never_pass(zone: RawZone) -> None:
    run(zone, max_bytes=10_000)
    assert counts(zone) == {"invalid_utf8": 1, "malformed_json": 1, "unknown_event_type": 1}
    zone.check_conservation({source_of(zone): 7})


def test_replay__interrupted_before_the_commit_is_repeated(
    zone: RawZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            run(zone)
    assert zone.lines().total() == 1
    assert run(zone).passed == 2
    zone.check_conservation({source_of(zone): 7})


def test_replay__on_s3(minio: Minio, tmp_path: Path) -> None:
    zone = RawZone(open_store(minio.settings()))
    body = [event(0), event(1, metadata={"verb": "x" * 5_000}), b"{"]
    (report,) = zone.ingest(write_lines(tmp_path / "a.jsonl", body), max_record_bytes=4_000)
    assert report.quarantined == {"too_large": 1, "malformed_json": 1}
    assert run(zone, max_bytes=10_000).passed == 1
    assert run(zone, max_bytes=10_000).passed == 0
    assert zone.lines().total() == 2
    zone.check_conservation({report.source: 3})


@pytest.fixture
def lmslake(lake_root: Path) -> Callable[..., str]:
    def call(*arguments: str, **more: str) -> str:
        environment = {"LMSLAKE_ROOT": str(lake_root), **more}
        result = CliRunner().invoke(
            cli, ("quarantine", *arguments), env=environment, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_command__list_show_replay(zone: RawZone, lmslake: Callable[..., str]) -> None:
    listed = lmslake("list")
    assert "unknown_event_type" in listed
    assert "in_future" in listed
    assert "in_future" not in lmslake("list", "--reason", "too_large")
    assert "Nothing lies" in lmslake("list", "--topic", "xapi")
    shown = lmslake("show", "--reason", "in_future", "--limit", "1")
    assert shown.count("offset") == 1
    assert "2099-01-01" in shown
    assert lmslake("show", "--json").count("\n") == 6
    assert "1 now in raw, 5 stay in quarantine" in lmslake("replay")  # the large one
    helped = lmslake("replay", LMSLAKE_MAX_CLOCK_SKEW_MINUTES="100000000")
    assert "2 now in raw" in helped
    assert "lmslake build --from 2098-01-01 --to 2099-01-01" in helped
    assert "Nothing that fits" in lmslake("replay", "--reason", "in_future")


def test_command__show_prints_no_control_characters(
    lake_root: Path, tmp_path: Path, lmslake: Callable[..., str]
) -> None:
    RawZone(lake_root).ingest(write_lines(tmp_path / "a.jsonl", [b"\x1b[2Jboo"]))
    assert "\x1b" not in lmslake("show")
