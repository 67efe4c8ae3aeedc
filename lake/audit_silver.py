"""Raw objects against silver, record by record, with DuckDB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from datetime import date
from typing import TYPE_CHECKING

from lake.audit_outcome import Audit, Line
from lake.delta_reading import is_written
from lake.errors import LakeError
from lake.ledger import LedgerRow
from lake.pipelines.journal import Journal
from lake.query_engine import fetched
from schemas.tables import TABLES
from schemas.tables.silver import SET_ASIDE

if TYPE_CHECKING:
    import duckdb

    from lake.settings import Settings
    from lake.storage import ObjectStore

DIGEST_MODULUS = 1 << 64
# DuckDB reads a record as one line; records are bounded by LMSLAKE_MAX_RECORD_BYTES.
LINE_HEADROOM = 65_536


def compare_with_silver(
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
            if int(count["silver_digest"]) % DIGEST_MODULUS != digest:
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
