"""What `python -m benchmarks.micro_batch` feeds its two lakes with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from uuid import UUID

import pytest

from benchmarks import micro_batch
from benchmarks.inputs import DAY

LINES = 2_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Events as the generator writes them: all on one day, ids and students at fixed places."""
    folder = tmp_path / "source"
    folder.mkdir()
    with gzip.open(folder / "events.jsonl.gz", "wb") as out:
        for number in range(LINES):
            body = {
                "event_id": str(UUID(int=number << 64)),
                "student_id": str(UUID(int=number // 20)),
                "event_type": "page_view",
                "timestamp": f"{DAY}T{number % 24:02d}:00:00.000Z",
                "page_url": f"https://lms.example/{DAY}T",
            }
            out.write(json.dumps(body, separators=(",", ":")).encode() + b"\n")
    return folder


def events_in(file: Path) -> list[dict[str, str]]:
    with gzip.open(file) as lines:
        return [json.loads(line) for line in lines]


def test_history__is_the_same_events_over_all_days(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "history.jsonl.gz"
    micro_batch.write_history(source, target)
    before, after = events_in(source / "events.jsonl.gz"), events_in(target)
    days = {body["timestamp"][:10] for body in after}
    assert len(days) == micro_batch.DAYS
    assert max(days) == DAY
    for body in (*before, *after):
        body["timestamp"] = body["timestamp"][10:]
    assert before == after


@pytest.mark.parametrize("late", [0.0, 0.1])
def test_batches__are_new_events_of_the_newest_day(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    monkeypatch.setattr(micro_batch, "BATCH_EVENTS", 900)
    files = micro_batch.write_batches(source, tmp_path, 2, late)
    known = {body["event_id"] for body in events_in(source / "events.jsonl.gz")}
    events = [body for file in files for body in events_in(file)]
    ids = {body["event_id"] for body in events}
    assert len(events) == len(ids) == 1_800
    assert not ids & known
    share = sum(body["timestamp"][:10] < DAY for body in events) / len(events)
    assert abs(share - late) < 0.03
