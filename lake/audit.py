"""Law 1 on a live lake: what entered is in raw or quarantine once, and raw is in silver once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from lake.audit_objects import note_faults, object_faults
from lake.audit_sources import check_sources
from lake.delta_reading import is_written
from lake.errors import LakeError
from lake.ingest import noted_sources
from lake.ledger import Ledger, LedgerRow, ledger_rows
from lake.pipelines.journal import Journal
from lake.query import connect
from lake.storage import existing_store
from schemas.tables import TABLES
from schemas.tables.silver import SET_ASIDE

if TYPE_CHECKING:
    import duckdb

    from lake.settings import Settings
    from lake.storage import ObjectStore

DIGEST_MODULUS = 1 << 64
# DuckDB reads a record as one line; records are bounded by LMSLAKE_MAX_RECORD_BYTES.
LINE_HEADROOM = 65_536


@dataclass
class Line:
    """One topic on one date: what is in raw, and where it is in silver.

    raw = events + duplicates + quarantined + missing. Counts are of records; `pending` records
    lie in raw objects that no build has taken yet and are not among the others.
    """

    topic: str
    day: date
    raw: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: int = 0
    missing: int = 0
    pending: int = 0
    raw_digest: int = 0
    silver_digest: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and not self.missing


@dataclass
class Audit:
    """Outcome of an audit: a line per topic and date, faults of sources and of silver."""

    lines: list[Line] = field(default_factory=list)
    sources: int = 0
    received: int = 0
    rejected: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and all(line.is_proven for line in self.lines)


def audit(settings: Settings, dates: Sequence[date] | None = None) -> Audit:
    """Prove law 1 by reading every raw object of the dates (of all dates with None) again.

    What lies in quarantine is read, too. Needs no Spark. Counts, contents and an order-independent
    digest of event ids are compared between the ledger, the raw objects and silver; nothing that a
    build wrote down about its own work is believed but which objects it took.
    """
    store = existing_store(settings)
    ledger = Ledger(store)
    # Before the ledger: a file that is taken meanwhile is noted after its last commit.
    noted = list(noted_sources(store))
    everything = ledger_rows(ledger.rows(dates=None, is_quarantine=None))
    outcome = Audit()
    outcome.faults += note_faults(noted, check_sources(everything, outcome))
    wanted = None if dates is None else set(dates)
    raw = [r for r in everything if not r.is_quarantine and (wanted is None or r.date in wanted)]
    journal = Journal(store)
    applied = frozenset(journal.applied_paths())
    of_dates = [r for r in everything if wanted is None or r.date in wanted]
    outcome.faults += object_faults(store, of_dates, applied)
    lines = _lines(raw, applied)
    present = [r for r in raw if r.path in applied and store.exists(r.path)]
    if present:
        connection = connect(settings)
        try:
            _compare_with_silver(connection, store, settings, present, journal, lines, outcome)
        finally:
            connection.close()
    outcome.lines = [lines[key] for key in sorted(lines)]
    return outcome


def _lines(raw: Sequence[LedgerRow], applied: Set[str]) -> dict[tuple[date, str], Line]:
    lines: dict[tuple[date, str], Line] = {}
    for row in raw:
        line = lines.setdefault((row.date, row.topic), Line(row.topic, row.date))
        if row.path in applied:
            line.raw += row.record_count
            line.raw_digest = (line.raw_digest + int(row.id_digest or 0)) % DIGEST_MODULUS
        else:
            line.pending += row.record_count
    return lines


def _compare_with_silver(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    settings: Settings,
    rows: Sequence[LedgerRow],
    journal: Journal,
    lines: dict[tuple[date, str], Line],
    outcome: Audit,
) -> None:
    applied = {row.path for row in rows}
    by_day: dict[date, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        by_day[row.date].append(row)
    has_quarantine = is_written(TABLES["silver.quarantine"], store)
    _create_macros(connection)
    for day, items in sorted(by_day.items()):
        try:
            _load_day(connection, store, settings, day, items, has_quarantine)
            _leave_out_later_builds(connection, journal, applied)
        except LakeError as error:
            outcome.faults.append(f"{day}: {error}")
            continue
        for count in fetched(connection, COUNTS):
            line = lines[day, count["topic"]]
            if count["records"] != line.raw:
                line.faults.append(
                    f"raw objects hold {count['records']} records, the ledger says {line.raw}"
                )
            digest = int(count["digest"]) % DIGEST_MODULUS
            if digest != line.raw_digest:
                line.faults.append("the digest of the event ids in raw is not the ledger's")
            line.events = count["events"]
            line.quarantined = count["quarantined"]
            line.duplicates = count["duplicates"]
            line.missing = count["missing"]
            line.silver_digest = int(count["silver_digest"]) % DIGEST_MODULUS
            if line.silver_digest != digest:
                line.faults.append("the digests of the event ids in raw and in silver differ")
        for fault in fetched(connection, SURPLUS):
            key = (day, fault["topic"])
            line = lines.setdefault(key, Line(fault["topic"], day))
            line.faults.append(f"{fault['events']} events in silver {fault['what']}")


def _create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP MACRO digest_of(event_id) AS "
        "('0x' || left(sha256(event_id), 16))::UBIGINT::HUGEINT"
    )


def _load_day(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    settings: Settings,
    day: date,
    items: Sequence[LedgerRow],
    has_quarantine: bool,
) -> None:
    """Temporary tables of a day: raw_bodies (a row per record) and silver_bodies."""
    import duckdb

    files = [store.delta_uri(item.path) for item in items]
    try:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE raw_bodies AS "
            "SELECT split_part(filename, '/', -3) AS topic, "
            "coalesce(json_extract_string(line, '$.event_id'), '') AS event_id, "
            "left(sha256(line), 16) AS body "
            "FROM read_csv($files, columns = {'line': 'VARCHAR'}, header = false, "
            "delim = '\x1e', quote = '', escape = '', compression = 'gzip', filename = true, "
            "auto_detect = false, strict_mode = false, max_line_size = $line)",
            {"files": files, "line": settings.max_record_bytes * 2 + LINE_HEADROOM},
        )
    except duckdb.Error as error:
        raise LakeError(f"raw objects cannot be read: {error}") from None
    quarantined = (
        "UNION ALL SELECT event_id, _body_hash, _topic, true, _raw_path, "
        f"reason = '{SET_ASIDE}' FROM silver.quarantine "
        f"WHERE date = DATE '{day}'"
        if has_quarantine
        else ""
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE silver_bodies AS "
        "SELECT event_id, _body_hash AS body, _topic AS topic, false AS is_quarantined, "
        "_raw_path AS path, false AS is_set_aside "
        f"FROM silver.events WHERE date = DATE '{day}' {quarantined}"
    )


def _leave_out_later_builds(
    connection: duckdb.DuckDBPyConnection, journal: Journal, applied: Set[str]
) -> None:
    """Rows of builds that published while the audit read: it saw their objects as pending."""
    journal.refresh()
    later = {path for state in journal.states() for path in state["paths"]} - applied
    connection.execute(
        "DELETE FROM silver_bodies WHERE list_contains($later, path)", {"later": sorted(later)}
    )


# A body that came more than once is counted at one of its records (the one of silver's topic);
# the others are its duplicates.
COUNTS = """
WITH raw AS (
    SELECT topic, event_id, body, count(*) AS records FROM raw_bodies GROUP BY ALL
), bodies AS (
    SELECT event_id, body, any_value(topic) AS topic, bool_or(is_quarantined) AS is_quarantined
    FROM silver_bodies GROUP BY ALL
), matched AS (
    SELECT raw.topic, raw.event_id, raw.records,
           bodies.event_id IS NOT NULL AS is_known,
           bodies.topic = raw.topic AS is_kept_here,
           bodies.is_quarantined
    FROM raw LEFT JOIN bodies USING (event_id, body)
)
SELECT topic,
       sum(records)::BIGINT AS records,
       (count(*) FILTER (is_kept_here AND NOT is_quarantined))::BIGINT AS events,
       (count(*) FILTER (is_kept_here AND is_quarantined))::BIGINT AS quarantined,
       coalesce(sum(records - is_kept_here::INT) FILTER (is_known), 0)::BIGINT AS duplicates,
       coalesce(sum(records) FILTER (NOT is_known), 0)::BIGINT AS missing,
       sum(digest_of(event_id) * records)::VARCHAR AS digest,
       coalesce(sum(digest_of(event_id) * records) FILTER (is_known), 0)::VARCHAR AS silver_digest
FROM matched GROUP BY topic ORDER BY topic
"""

SURPLUS = """
SELECT topic, count(*) AS events, 'that are in no raw object of the day' AS what
FROM silver_bodies ANTI JOIN raw_bodies USING (event_id, body) GROUP BY topic
UNION ALL
SELECT any_value(topic), count(*) - 1, 'that have the id of another: ' || event_id
FROM silver_bodies WHERE NOT is_quarantined GROUP BY event_id HAVING count(*) > 1
UNION ALL
SELECT any_value(topic), count(*), 'that are in silver.quarantine as set aside, too'
FROM silver_bodies SEMI JOIN (FROM silver_bodies WHERE is_set_aside) USING (event_id, body)
WHERE NOT is_quarantined GROUP BY topic
"""


def fetched(
    connection: duckdb.DuckDBPyConnection, query: str, **values: Any
) -> Iterator[dict[str, Any]]:
    """Rows of the answer by column; `values` are the query's parameters."""
    relation = connection.execute(query, values)
    names = [column[0] for column in relation.description or ()]
    for row in relation.fetchall():
        yield dict(zip(names, row, strict=True))
