"""What the audit of events finds between files and silver, and what becomes of rows set aside."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake

from jobs.cli import cli
from lake.audit import audit
from lake.audit_outcome import Audit
from lake.delta_reading import delta_rows
from lake.ledger import ledger_rows
from lake.pipelines import build_pass as building
from lake.pipelines import silver
from lake.pipelines.build import build
from lake.pipelines.event_rows import EVENTS
from lake.settings import Settings
from schemas.derivations import arrow_schema
from schemas.table import Table
from schemas.tables import TABLES
from tests.lake.raw_zone import RawZone, event, write_lines
from tests.laws.world import ingest, rows_of
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import DAYS, KEY, difference_from, four_days

QUARANTINE = TABLES["silver.quarantine"]


def lmslake(root: Path, *arguments: str) -> tuple[int, str]:
    environment = {"LMSLAKE_ROOT": str(root), "LMSLAKE_PSEUDONYM_KEY": KEY}
    result = CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)
    return result.exit_code, result.output


def without_videos() -> Table:
    """The declaration of silver.events as it was before somebody thought of videos."""
    columns = [
        replace(column, values=tuple(v for v in column.values if v != "video_play"))
        for column in EVENTS.columns
    ]
    return replace(EVENTS, columns=tuple(columns))


@pytest.fixture(scope="module")
def built(opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of four days. It was first built when nobody had declared videos."""
    folder = tmp_path_factory.mktemp("audited")
    lake = opened(folder / "lake")
    root = Path(lake.settings.root)
    ingest(lake, folder / "files", four_days())
    with pytest.MonkeyPatch.context() as patched:
        narrow = without_videos()
        patched.setattr(silver, "EVENTS", narrow)
        patched.setattr(building, "EVENTS", narrow)
        (report,) = build(lake)
    aside = [r for r in rows_of(lake, QUARANTINE.name) if r["reason"] == "failed_expectation"]
    assert {row["detail"] for row in aside} == {"in_set(event_type)"}
    assert report.quarantined_count >= len(aside) > 0
    results = lake.spark.read.format("delta").load(lake.tables.path("bronze.gate_results"))
    (told,) = results.where("outcome = 'quarantined'").collect()
    records = sum(b"video_play" in line for line in four_days())
    assert (told.expectation, told.observed) == ("in_set(event_type)", records)
    again = f"lmslake backfill --from {DAYS[0]} --to {DAYS[-1]} --reset"
    for command in ("list", "replay"):
        assert again in lmslake(root, "quarantine", command)[1], command
    shown = lmslake(root, "quarantine", "show", "--reason", "failed_expectation")[1]
    assert shown.count("in_set(event_type)") == min(10, len(aside))
    assert lmslake(root, "audit", "--only", "events")[0] == 0

    # what the gates counted beyond single rows, where the rows were collected
    of_events = results.where("expectation LIKE 'events_%'").collect()
    assert {(row.table_name, row.expectation) for row in of_events} == {
        ("silver.events", "events_of_records"),
        ("silver.sessions", "events_add_up"),
        ("gold.student_daily_activity", "events_add_up"),
    }
    assert {row.outcome for row in of_events} == {"passed"}
    assert len({row.observed for row in of_events if row.expectation == "events_add_up"}) == 1
    assert (
        results.where("table_name = 'features.student_features'")
        .where("expectation LIKE 'unique%' AND success")
        .count()
    )

    # in as many passes as a lake takes whose days are too large for one
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lake.pipelines.pending.PASS_BYTES", 1)
        assert len(build(lake, DAYS, reset=True)) == len(DAYS)
    assert not difference_from(lake, four_days())
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "lake"))


def audited(root: Path) -> Audit:
    return audit(Settings(root=str(root)))


def faults(root: Path) -> str:
    """Everything that the command says is wrong; it says so by its exit code, too."""
    code, said = lmslake(root, "audit", "--only", "events")
    assert code == (0 if audited(root).is_proven else 1)
    return said


def events_table(root: Path) -> DeltaTable:
    return DeltaTable(str(root / EVENTS.path))


def test_reset__takes_again_what_had_been_set_aside(built: Path) -> None:
    code, said = lmslake(built, "audit", "--only", "events")
    assert (code, "Nothing is lost and nothing is doubled." in said) == (0, True)
    assert "lmslake backfill" not in lmslake(built, "quarantine", "list")[1]


def test_audit__an_event_that_silver_lost(copied: Path) -> None:
    rows = delta_rows(events_table(copied), arrow_schema(EVENTS))
    write_deltalake(str(copied / EVENTS.path), rows.slice(1), mode="overwrite")
    line = next(line for line in audited(copied).lines if line.missing)
    assert line.missing >= 1
    assert "the digests of the event ids in raw and in silver differ" in faults(copied)


def test_audit__events_that_nobody_sent(copied: Path) -> None:
    row = delta_rows(events_table(copied), arrow_schema(EVENTS)).slice(0, 1)
    at = row.schema.get_field_index("_body_hash")
    foreign = row.set_column(at, row.schema.field(at), pa.array(["0" * 16], row.field(at).type))
    write_deltalake(str(copied / EVENTS.path), foreign, mode="append")
    said = faults(copied)
    assert "1 events in silver that are in no raw object of the day" in said
    assert "1 events in silver that have the id of another" in said


def test_audit__an_event_that_is_set_aside_too(copied: Path) -> None:
    row = delta_rows(events_table(copied), arrow_schema(EVENTS)).slice(0, 1).to_pylist()[0]
    aside = {**row, "reason": "failed_expectation", "detail": "in_set(event_type)"}
    kept = [{name: aside[name] for name in QUARANTINE.column_names}]
    rows = pa.Table.from_pylist(kept, schema=arrow_schema(QUARANTINE))
    write_deltalake(str(copied / QUARANTINE.path), rows, mode="append")
    assert "1 events in silver that are in silver.quarantine as set aside, too" in faults(copied)


def test_audit__objects_that_were_changed_from_outside(copied: Path) -> None:
    gone, cut = sorted((copied / "events" / "raw").rglob("*.gz"))[:2]
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-20])
    said = faults(copied)
    assert f"{gone.relative_to(copied)}: the object is gone" in said
    assert f"{cut.relative_to(copied)}: {cut.stat().st_size} bytes, the ledger says" in said


def test_audit__what_waits_for_a_build_or_lies_in_quarantine(tmp_path: Path) -> None:
    """Of these objects only their own content can tell."""
    root = tmp_path / "lake"
    zone = RawZone(root)
    records = [*map(event, range(3)), b"{"]
    zone.ingest(write_lines(tmp_path / "a.jsonl", records))
    assert audited(root).is_proven
    for row in ledger_rows(zone.ledger.rows(is_quarantine=None)):
        path = root / row.path
        whole = path.read_bytes()
        path.write_bytes(b"x" * len(whole))
        (fault,) = audited(root).faults
        assert fault.startswith(f"{row.path}: the object is damaged"), fault
        path.write_bytes(whole)


def test_audit__a_file_whose_end_the_ledger_lost(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    zone = RawZone(root)
    (report,) = zone.ingest(write_lines(tmp_path / "a.jsonl", [event(0), event(1)]))
    note = root / "events/_sources/native" / f"{report.source}.json"
    note.write_bytes(note.read_bytes().replace(b'"records":2', b'"records":3'))
    (fault,) = audited(root).faults
    assert fault.endswith("the file has 3 records, the ledger knows 2 of them")
