"""Which days of gold.student_360 are missing or out of date. Needs no Spark session.

A picture keeps a fingerprint of what the tables held for its day: of the builds in the journals
that touched days which reach it, and of the rows of tables whose changes no journal dates. It is
out of date where the fingerprint is another one now. No clock is asked, and a picture that was
derived beside a running build is out of date when that build has finished.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lake.delta_reading import days_of, is_written, opened_table
from lake.errors import LakeError
from lake.pipelines.journal import Journal
from lake.query import connect, readable_errors
from lake.storage import open_store
from schemas.tables import TABLES
from schemas.tables.records_silver import RECORD_BUILDS
from schemas.tables.student_360 import BEHAVIOUR_DAYS, STUDENT_360

if TYPE_CHECKING:
    import duckdb

    from lake.settings import Settings
    from lake.storage import ObjectStore

ACTIVITY = "gold.student_daily_activity"
STUDENTS = "silver.dim_students"
# Their partitions are the days that there is something to tell of.
OF_DAYS = (
    ACTIVITY, "silver.fact_attendance", "silver.fact_assessments", "silver.fact_support_tickets",
)  # fmt: skip
CHANGES = ("finished", "repaired", "held")
# Rows whose changes no journal dates: from which day on they count, until which, and what counts.
UNDATED = {
    STUDENTS: "SELECT CAST(valid_from AS DATE), CAST(valid_to AS DATE), "
    "concat_ws(chr(31), student_hash, class_id, grade_level, enrollment_status) "
    "FROM silver.dim_students",
    # A course counts from its first enrolment on: later ones change no picture.
    "silver.enrollment_versions": "SELECT min(enrollment_date), NULL, "
    "concat_ws(chr(31), student_hash, course_id) "
    "FROM silver.enrollment_versions GROUP BY student_hash, course_id",
    "silver.progress_versions": "SELECT CAST(last_activity_at AS DATE), NULL, "
    "concat_ws(chr(31), student_hash, course_id, lesson_id, last_activity_at, completion_pct) "
    "FROM silver.progress_versions",
}


@dataclass(frozen=True)
class Work:
    """Days to derive, each with its fingerprint. behaviour_since: first day with an event."""

    fingerprints: Mapping[date, str]
    behaviour_since: date | None

    @property
    def dates(self) -> list[date]:
        return sorted(self.fingerprints)


def pending_pictures(settings: Settings, asked: Sequence[date] | None = None) -> Work:
    """Days to derive: of the asked ones, else of the newest one and all that have pictures.

    Left out are those whose pictures are up to date. Raises LakeError where the lake has neither
    behaviour nor records, or an asked day lies past today and past the newest day of the lake.
    """
    store = open_store(settings)
    days = {name: _days(store, name) for name in OF_DAYS}
    newest = max((of_table[-1] for of_table in days.values() if of_table), default=None)
    if newest is None and not is_written(TABLES[STUDENTS], store):
        raise LakeError(
            "There is nothing to make pictures of: neither behaviour nor school records are in "
            "the tables.\n  lmslake build (events), or lmslake land && lmslake records build"
        )
    _check_not_ahead(asked or (), newest)
    behaviour_since = days[ACTIVITY][0] if days[ACTIVITY] else None
    with connect(settings) as connection, readable_errors():
        stored = _stored(connection, store)
        wanted = set(asked) if asked is not None else {*stored, *([newest] if newest else ())}
        now = _fingerprints(connection, store, sorted(wanted), behaviour_since)
    return Work({day: at for day, at in now.items() if stored.get(day) != at}, behaviour_since)


def _check_not_ahead(asked: Sequence[date], newest: date | None) -> None:
    limit = max(datetime.now(UTC).date(), newest or date.min)
    if ahead := [day for day in asked if day > limit]:
        raise LakeError(
            f"{ahead[0]} lies ahead: nobody knows what will have happened by then.\n"
            f"  The newest day with facts or behaviour is {newest or 'not known'}."
        )


def _days(store: ObjectStore, name: str) -> list[date]:
    """Days that have rows, ascending, from the table's log alone."""
    table = opened_table(store, TABLES[name])
    return [] if table is None else days_of(table)


def _stored(connection: duckdb.DuckDBPyConnection, store: ObjectStore) -> dict[date, str]:
    """Fingerprint of each day that has pictures."""
    if not is_written(STUDENT_360, store):
        return {}
    query = f"SELECT as_of_date, min(_inputs) FROM {STUDENT_360.name} GROUP BY as_of_date"
    return dict(connection.execute(query).fetchall())


def _fingerprints(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    dates: Sequence[date],
    behaviour_since: date | None,
) -> dict[date, str]:
    undated = _undated(connection, store, dates)
    builds = _behaviour_builds(Journal(store).states(), dates)
    record_builds = _record_builds(Journal(store, RECORD_BUILDS).states(), dates)
    found = {}
    for day in dates:
        has_behaviour = behaviour_since is not None and behaviour_since <= day
        parts = (builds[day], record_builds[day], undated[day], has_behaviour)
        found[day] = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return found


def _undated(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, dates: Sequence[date]
) -> dict[date, str]:
    """Sums of the digests of the rows that count at each day, table by table."""
    written = [name for name in UNDATED if is_written(TABLES[name], store)]
    nothing = dict.fromkeys(dates, "")
    if not written or not dates:
        return nothing
    rows = " UNION ALL ".join(f"SELECT '{name}', * FROM ({UNDATED[name]})" for name in written)
    # md5, not hash(): that is another number in another version of DuckDB.
    found = connection.execute(
        f"""
        WITH rows (name, first, gone, text) AS ({rows}),
        marks AS (
            SELECT name, first, gone, sum(md5_number_lower(text)) AS digest
            FROM rows GROUP BY ALL
        ),
        sums AS (
            SELECT day, name, sum(digest) AS digest
            FROM unnest($dates::DATE[]) AS days (day)
            JOIN marks ON first <= day AND (gone IS NULL OR gone > day)
            GROUP BY ALL
        )
        SELECT day, string_agg(name || digest, ' ' ORDER BY name) FROM sums GROUP BY day
        """,
        {"dates": list(dates)},
    ).fetchall()
    return nothing | dict(found)


def _behaviour_builds(
    states: Sequence[Mapping[str, Any]], dates: Sequence[date]
) -> dict[date, int]:
    """Per day the sum of the builds that touched one of the days that its behaviour is of."""
    of_day: defaultdict[date, int] = defaultdict(int)
    for state in _changes(states):
        for touched in state["dates"]:
            of_day[touched] += _digest(state)
    reach = [timedelta(days=n) for n in range(BEHAVIOUR_DAYS)]
    return {day: sum(of_day.get(day - back, 0) for back in reach) for day in dates}


def _record_builds(states: Sequence[Mapping[str, Any]], dates: Sequence[date]) -> dict[date, int]:
    """Per day the sum of the builds that touched it or an earlier one.

    How early makes no difference: since when a rule of risk fires follows from facts of any age.
    A state without contents (a repair, or all of gold anew) does not say which days it touched.
    """
    changes = [
        (min(state["dates"]) if state["paths"] else date.min, _digest(state))
        for state in _changes(states)
        if state["dates"] or not state["paths"]
    ]
    return {day: sum(digest for since, digest in changes if since <= day) for day in dates}


def _changes(states: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (state for state in states if state["state"] in CHANGES)


def _digest(state: Mapping[str, Any]) -> int:
    text = f"{state['build_id']} {state['state']}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
