"""Law 1 for school records: rows of files are in bronze once, and accounted for in silver."""

from __future__ import annotations

from collections.abc import Iterable, Set
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake.audit_files import Files
from lake.audit_judge import Judge, Tell
from lake.audit_landings import EndedLandings, check_bronze
from lake.audit_pointers import Pointers, aside_faults
from lake.audit_rows import LANDED, Noted, RowsAgain
from lake.delta_reading import is_written
from lake.landing.bronze import Bronze
from lake.landing.naming import FAILED, PROCESSED
from lake.landing.reading import Limits
from lake.landing.topic_rows import is_of_topic
from lake.landing.watching import LEASE
from lake.landing.zone import existing_zone
from lake.leases import awaited_lease
from lake.pipelines.records.contents import records_journal
from lake.query import connect
from lake.query_engine import fetched
from lake.storage import existing_store
from schemas.records import SOURCES
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

    from lake.landing.zone import Zone
    from lake.settings import Settings
    from lake.storage import ObjectStore

BRONZE = (LANDED, *(source.table for source in SOURCES.values()))
# So many lost rows of a table are named.
NAMED_ROWS = 5
NOTHING_LANDED = (
    "(SELECT '' AS content_hash, '' AS source, '' AS file_name, 0::BIGINT AS bytes, "
    "0::BIGINT AS row_count WHERE FALSE)"
)
UNFINISHED = (
    "build {} did not come to its end: silver was not compared. `lmslake records build` repairs it"
)
UNREAD = "no file was read again. --zone names another"


@dataclass
class RecordsLine:
    """One source: rows of its files, and where they are.

    rows = in_force + outdone + quarantined + held + missing + pending. in_force: rows of silver
    come from them. outdone: superseded, or copies. pending: of files that no build has taken.
    in_bronze: rows that the bronze table has. files: contents, some of them ranges of messages.
    compared: those that were compared with their file; gone: those whose file is not there.
    """

    source: str
    files: int = 0
    compared: int = 0
    gone: int = 0
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
    """Outcome of an audit of records: a line per source, and what concerns all of them.

    notes: what is no fault, and should be known.
    """

    lines: list[RecordsLine] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and all(line.is_proven for line in self.lines)


def audit_records(
    settings: Settings,
    spark: SparkSession | None = None,
    tell: Tell = lambda _: None,
    zone: Zone | None = None,
) -> RecordsAudit:
    """Prove law 1 from files to silver; without lines where no file was landed.

    The files that landings put away in `zone` (that of the settings without one) are read again:
    each is noted, and bronze has its rows, cell by cell. DuckDB counts the rows of each content in
    bronze, and follows every pointer of silver, of quarantine and of held rows back to its row.
    What no pointer names must be outdone by another row of its key: those rows alone are cleaned
    again, with Spark, as a build would clean them. Nothing that a build wrote down about its own
    work is believed but which files it took. Builds of records wait meanwhile; landings go on.
    Raises LeaseHeld where a build is at work for too long.
    """
    store = existing_store(settings)
    zone = zone or existing_zone(settings)
    written = frozenset(name for name in BRONZE if is_written(TABLES[name], store))
    if not written and (zone is None or not {PROCESSED, FAILED}.intersection(zone.folders(""))):
        return RecordsAudit()
    with awaited_lease(store, "records", settings.lock_wait, tell), ExitStack() as stack:
        connection = stack.enter_context(closing(connect(settings)))
        journal = records_journal(store)
        taken, unfinished = journal.applied_paths(), journal.unfinished()
        lines = _load_contents(connection, store, written, taken)
        outcome = RecordsAudit(list(lines.values()))
        unnoted = [u for line in outcome.lines for u in check_bronze(connection, store, line)]
        landed = Bronze(store).landed
        if len(unnoted) > 1 and not landed():
            gone = f"{LANDED} is gone, or the first landing was ended: land its file again"
            return RecordsAudit(faults=[gone])
        noted = _noted(connection)
        files = None
        if zone is not None:
            tell(f"reading the files of {zone.address} again")
            rows = RowsAgain(connection, Limits.from_settings(settings), written)
            files = Files(zone, rows, noted)
            files.check(unnoted, landed)
            _add_faults(outcome, lines, files)
        elif noted:
            outcome.notes.append(f"There is no landing zone {settings.landing_zone}: {UNREAD}")
        _count_files(lines, noted.values(), files.compared if files else frozenset())
        ended = EndedLandings(landed, lambda: _await_landing(store, settings, tell), taken)
        outcome.notes += ended.tell(unnoted, files, lines)
        outcome.faults += [UNFINISHED.format(build.build_id) for build in unfinished]
        if not unfinished:
            _check_silver(connection, store, lines, Judge(settings, spark, stack, tell))
            outcome.faults += aside_faults(connection, store)
        return outcome


def _load_contents(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, written: Set[str], taken: Set[str]
) -> dict[str, RecordsLine]:
    """Makes the table `contents` of all landed files; a line per source that has any, or rows.

    written: tables that were there before the connection, which shows no others.
    """
    connection.execute(
        "CREATE TEMP TABLE contents AS "
        "SELECT row_number() OVER () AS content, content_hash, source, file_name, bytes, "
        "row_count, taken.path IS NOT NULL AS is_taken "
        f"FROM {LANDED if LANDED in written else NOTHING_LANDED} "
        "LEFT JOIN (SELECT unnest($paths::VARCHAR[]) AS path) taken "
        "ON taken.path = source || '/' || content_hash",
        {"paths": sorted(taken)},
    )
    for source in SOURCES:
        if f"bronze.{source}" not in written and is_written(TABLES[f"bronze.{source}"], store):
            # Its first file was landed just now.
            connection.execute("DELETE FROM contents WHERE source = $source", {"source": source})
    counts = fetched(
        connection,
        "SELECT source, count(*) AS files, sum(row_count)::BIGINT AS rows, "
        "coalesce(sum(row_count) FILTER (NOT is_taken), 0)::BIGINT AS pending "
        "FROM contents GROUP BY source ORDER BY source",
    )
    lines = {count["source"]: RecordsLine(**count) for count in counts}
    received = [name for name in SOURCES if f"bronze.{name}" in written and name not in lines]
    return lines | {name: RecordsLine(name) for name in received}


def _noted(connection: duckdb.DuckDBPyConnection) -> dict[str, Noted]:
    """Content hash to what is noted of the file; without ranges of messages."""
    query = f"SELECT {', '.join(Noted._fields)} FROM contents"
    noted = map(Noted._make, connection.execute(query).fetchall())
    return {one.content_hash: one for one in noted if not is_of_topic(one.file_name)}


def _count_files(lines: dict[str, RecordsLine], noted: Iterable[Noted], compared: Set[str]) -> None:
    for one in noted:
        if one.content_hash in compared:
            lines[one.source].compared += 1
        else:
            lines[one.source].gone += 1


def _add_faults(outcome: RecordsAudit, lines: dict[str, RecordsLine], files: Files) -> None:
    outcome.faults += files.faults.pop("", [])
    for source, faults in files.faults.items():
        lines[source].faults += faults
    outcome.notes += files.notes


def _await_landing(store: ObjectStore, settings: Settings, tell: Tell) -> None:
    with awaited_lease(store, LEASE, settings.lock_wait, tell):
        return


def _check_silver(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    lines: dict[str, RecordsLine],
    judge: Judge,
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
