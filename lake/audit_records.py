"""Law 1 for school records: rows of files are in bronze once, and accounted for in silver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake.audit import fetched
from lake.audit_pointers import Pointers, aside_faults
from lake.delta_reading import is_written
from lake.leases import awaited_lease
from lake.query import connect
from lake.storage import existing_store
from schemas.records import SOURCES
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from lake.audit_outdone import Lost
    from lake.pipelines.build import Lake
    from lake.settings import Settings
    from lake.storage import ObjectStore

LANDED = "bronze.landed_files"
# So many lost rows of a table are named.
NAMED_ROWS = 5

Tell = Callable[[str], None]


@dataclass
class RecordsLine:
    """One source: rows of its files, and where they are.

    rows = in_force + outdone + quarantined + held + missing + pending. in_force: rows of silver
    come from them. outdone: superseded, or copies. pending: of files that no build has taken.
    in_bronze: rows that the bronze table has.
    """

    source: str
    files: int = 0
    rows: int = 0
    in_bronze: int = 0
    in_force: int = 0
    outdone: int = 0
    quarantined: int = 0
    held: int = 0
    missing: int = 0
    pending: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and not self.missing


@dataclass
class RecordsAudit:
    """Outcome of an audit of records: a line per source, and what concerns all of them."""

    lines: list[RecordsLine] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and all(line.is_proven for line in self.lines)


def audit_records(
    settings: Settings, spark: SparkSession | None = None, tell: Tell = lambda _: None
) -> RecordsAudit:
    """Prove law 1 from landed files to silver; without lines where no file was landed.

    DuckDB counts the rows of each file in bronze, and follows every pointer of silver, of
    quarantine and of held rows back to its row. What no pointer names must be outdone by another
    row of its key: those rows alone are cleaned again, with Spark, as a build would clean them.
    Nothing that a build wrote down about its own work is believed but which files it took.
    Builds of records wait meanwhile. Raises LeaseHeld where one is at work for too long.
    """
    store = existing_store(settings)
    received = [name for name in SOURCES if is_written(TABLES[f"bronze.{name}"], store)]
    if not is_written(TABLES[LANDED], store):
        gone = f"{LANDED} is gone, or the first landing was ended: land its file again"
        return RecordsAudit(faults=[gone] if received else [])
    with awaited_lease(store, "records", settings.lock_wait, tell), ExitStack() as stack:
        connection = stack.enter_context(closing(connect(settings)))
        outcome = RecordsAudit()
        lines = _load_files(connection, store, outcome)
        lines |= {name: RecordsLine(name) for name in received if name not in lines}
        for line in lines.values():
            _check_bronze(connection, store, line)
        if not outcome.faults:
            _check_silver(connection, store, lines, _Judge(settings, spark, stack, tell))
            outcome.faults += aside_faults(connection, store)
        outcome.lines = list(lines.values())
        return outcome


def _load_files(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, outcome: RecordsAudit
) -> dict[str, RecordsLine]:
    """Makes the table `contents` of all landed files; a line per source that has any."""
    from lake.pipelines.records.contents import records_journal

    journal = records_journal(store)
    for build in journal.unfinished():
        outcome.faults.append(
            f"build {build.build_id} did not come to its end: silver was not compared. "
            "`lmslake records build` repairs it"
        )
    connection.execute(
        "CREATE TEMP TABLE contents AS "
        "SELECT row_number() OVER () AS content, content_hash, source, file_name, row_count, "
        "taken.path IS NOT NULL AS is_taken "
        f"FROM {LANDED} LEFT JOIN (SELECT unnest($paths::VARCHAR[]) AS path) taken "
        "ON taken.path = source || '/' || content_hash",
        {"paths": sorted(journal.applied_paths())},
    )
    counts = fetched(
        connection,
        "SELECT source, count(*) AS files, sum(row_count)::BIGINT AS rows, "
        "coalesce(sum(row_count) FILTER (NOT is_taken), 0)::BIGINT AS pending "
        "FROM contents GROUP BY source ORDER BY source",
    )
    return {count["source"]: RecordsLine(**count) for count in counts}


def _check_bronze(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, line: RecordsLine
) -> None:
    """Each file has its rows in bronze, numbered from 1, each once."""
    table = TABLES[f"bronze.{line.source}"]
    if not is_written(table, store):
        if line.rows:
            line.faults.append(f"{table.name} is gone; its files have {line.rows:,} rows")
        return
    # Bronze before the list of files: a landing notes a file after its rows.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS "
        "SELECT _content_hash AS content_hash, any_value(_source_file) AS file, count(*) AS rows, "
        "count(DISTINCT _row) AS numbers, min(_row) AS first, max(_row) AS last "
        f"FROM {table.name} GROUP BY _content_hash"
    )
    summed = connection.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM counted")
    line.in_bronze = summed.fetchall()[0][0]
    line.faults += [
        f"{row['file_name']}: the file has {row['row_count']:,} rows, {table.name} "
        f"{row['rows']:,} of it, {row['numbers']:,} different ones"
        for row in fetched(connection, DIFFERING, source=line.source)
    ]
    line.faults += [
        f"{row['file']}: {row['rows']:,} rows of it are in {table.name}, and {LANDED} does not "
        "know the file: its landing was ended, or is at work; land it again"
        for row in fetched(connection, UNKNOWN, source=line.source)
    ]


DIFFERING = """
SELECT file_name, row_count, coalesce(rows, 0) AS rows, coalesce(numbers, 0) AS numbers
FROM contents LEFT JOIN counted USING (content_hash)
WHERE source = $source AND (row_count, row_count, 1, row_count) IS DISTINCT FROM (
    coalesce(rows, 0), coalesce(numbers, 0), coalesce(first, 1), coalesce(last, 0)
)
ORDER BY file_name
"""

UNKNOWN = f"""
SELECT file, rows FROM counted
ANTI JOIN (SELECT content_hash FROM {LANDED} WHERE source = $source) USING (content_hash)
ORDER BY file
"""


def _check_silver(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    lines: dict[str, RecordsLine],
    judge: _Judge,
) -> None:
    """Every row that a build took is where it must be; of a source's tables the last one counts."""
    from lake.audit_outdone import TAKEN_BY

    for source, name in TAKEN_BY:
        line = lines.get(source)
        if line is None or not is_written(TABLES[f"bronze.{source}"], store):
            continue
        pointers = Pointers(connection, store, source, TABLES[name])
        counts = pointers.counts()
        line.in_force = counts.get("in force", 0)
        line.quarantined = counts.get("quarantined", 0)
        line.held = counts.get("held", 0)
        line.faults += [fault for fault in pointers.faults() if fault not in line.faults]
        rest = pointers.load_rest()
        lost = judge.lost(source, name, pointers.rest()) if rest else []
        line.missing = len(lost)
        line.outdone = rest - line.missing
        names = pointers.file_names() if lost else {}
        line.faults += [
            f"row {row.row} of {names[row.content_hash]} is {row.why}" for row in lost[:NAMED_ROWS]
        ]
        if len(lost) > NAMED_ROWS:
            line.faults.append(f"and {len(lost) - NAMED_ROWS:,} more rows")


class _Judge:
    """Says which rows are lost of those that nothing points to; opens the lake for the first."""

    def __init__(
        self, settings: Settings, spark: SparkSession | None, stack: ExitStack, tell: Tell
    ) -> None:
        self._settings = settings
        self._spark = spark
        self._stack = stack
        self._tell = tell
        self._lake: Lake | None = None

    def lost(self, source: str, name: str, rest: Iterable[pa.Table]) -> list[Lost]:
        from lake.audit_outdone import lost_rows

        lake = self._opened()
        return sorted(row for rows in rest for row in lost_rows(lake, source, name, rows))

    def _opened(self) -> Lake:
        if self._lake is None:
            from lake.pipelines.build import open_lake

            self._tell("starting Spark, for rows that others outdo")
            opened = open_lake(self._settings, "lmslake audit", self._spark, grows=True)
            self._lake = self._stack.enter_context(opened)
        return self._lake
