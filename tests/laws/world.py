"""Many small histories in one lake, and the lake beside what the oracle says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.ingest import IngestOptions, ingest_files
from lake.pipelines.build import build
from lake.pipelines.opened import Lake
from schemas.tables import TABLES
from tests.generators import Arrival, Batch, History, lines_of, named
from tests.laws.comparing import Difference, Row, differences
from tests.oracle import Rules, read_event, recompute
from tests.oracle.reading import pseudonym

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable

TABLE_NAMES = (
    "silver.events",
    "silver.sessions",
    "silver.quarantine",
    "gold.student_daily_activity",
    "gold.student_chapter_progress",
    "gold.student_question_attempts",
    "gold.chapter_engagement",
    "gold.question_attempts_summary",
    "features.student_features",
)
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class World:
    """Histories under names of their own (h0, h1, …), and the rules of the lake they share."""

    histories: tuple[History, ...]
    rules: Rules

    @cached_property
    def lines_by_name(self) -> dict[str, list[bytes]]:
        return {
            name: lines_of(named(history, name))
            for name, history in zip(self.names, self.histories, strict=True)
        }

    @cached_property
    def names(self) -> list[str]:
        return [f"h{n}" for n in range(len(self.histories))]

    @cached_property
    def lines(self) -> list[bytes]:
        return [line for lines in self.lines_by_name.values() for line in lines]

    @cached_property
    def days(self) -> list[date]:
        return sorted({read_event(line, self.rules).date for line in self.lines})

    @cached_property
    def expected(self) -> dict[str, list[dict[str, Any]]]:
        return recompute(self.lines, self.rules)

    @cached_property
    def name_of_student(self) -> dict[str, str]:
        return {
            pseudonym(event["student_id"], self.rules): name
            for name, history in zip(self.names, self.histories, strict=True)
            for event in named(history, name)
        }

    def name_of(self, row: Row) -> str:
        """The history that a row of any table comes from."""
        if "student_hash" in row:
            return self.name_of_student.get(row["student_hash"], "?")
        own: str = row.get("chapter_id") or row["question_id"]
        return own.partition("-")[0]

    def complaint(self, title: str, found: Iterable[Difference]) -> str:
        """The differences of the history that is easiest to look at, with its raw lines."""
        by_name: dict[str, list[Difference]] = defaultdict(list)
        for difference in found:
            by_name[self.name_of(difference.row)].append(difference)
        name, shown = min(
            by_name.items(), key=lambda item: (len(self.lines_by_name.get(item[0], [])), item[0])
        )
        lines = sorted(line.decode() for line in self.lines_by_name.get(name, []))
        return "\n".join(
            [
                f"{title}: {sum(map(len, by_name.values()))} differences in {len(by_name)} "
                f"histories ({', '.join(sorted(by_name)[:20])}); the smallest is {name}:",
                *(f"  {difference}" for difference in shown[:20]),
                "its raw lines:",
                *(f"  {line}" for line in lines),
            ]
        )


def law_2_columns(name: str) -> list[str]:
    """Columns without lineage (`_body_hash` is not: it follows from the body)."""
    return [c.name for c in TABLES[name].columns if not c.is_lineage or c.name == "_body_hash"]


def tables_of(lake: Lake) -> Tables:
    """Every row of every table, in the columns of law 2."""
    return {name: rows_of(lake, name) for name in TABLE_NAMES}


def rows_of(lake: Lake, name: str) -> list[Row]:
    arrow: ArrowTable = lake.tables.read(name).select(*law_2_columns(name)).toArrow()
    rows: list[Row] = arrow.to_pylist()
    return rows


def compared(expected: Tables, found: Tables) -> list[Difference]:
    return [
        difference
        for name in TABLE_NAMES
        for difference in differences(name, TABLES[name].keys, expected[name], found[name])
    ]


def ingest(lake: Lake, folder: Path, *files: Iterable[bytes]) -> None:
    """Write files of lines and take them; a record that is refused is an error of the test."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, lines in enumerate(files):
        path = folder / f"{number}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        paths.append(path)
    options = IngestOptions.from_settings(lake.settings)
    for report in ingest_files(lake.store, lake.ledger, paths, options):
        assert not report.quarantined, report


def build_after(lake: Lake, batch: Batch) -> None:
    match batch.build:
        case "none":
            return
        case "pending":
            build(lake)
        case "day_by_day":
            for day in batch.days:
                build(lake, [day])
        case "range":
            build(lake, list(batch.days))


def arrive(lake: Lake, world: World, arrival: Arrival, folder: Path) -> None:
    """Bring the world's lines into the lake as the arrival says; then build what is left."""
    for number, batch in enumerate(arrival.batches(world.lines, world.days)):
        ingest(lake, folder / str(number), *batch.files)
        build_after(lake, batch)
    build(lake)
