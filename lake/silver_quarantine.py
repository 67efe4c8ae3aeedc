"""Events that entered raw and did not become rows of silver.events: silver.quarantine, no Spark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from lake.delta_reading import is_written
from lake.query import connect
from schemas.tables import TABLES
from schemas.tables.silver import SET_ASIDE

if TYPE_CHECKING:
    from lake.quarantine import Selection
    from lake.settings import Settings
    from lake.storage import ObjectStore

# Topic, day of the event, reason, events.
SilverCount = tuple[str, date, str, int]
SELECTED = (
    "(len($topics) = 0 OR list_contains($topics, _topic)) "
    "AND (len($reasons) = 0 OR list_contains($reasons, reason)) "
    "AND (len($days) = 0 OR list_contains($days, date::VARCHAR))"
)


def silver_counts(
    settings: Settings, store: ObjectStore, selection: Selection
) -> list[SilverCount]:
    """Selected rows of silver.quarantine by topic, day of the event and reason, in order."""
    query = f"SELECT _topic, date, reason, count(*) FROM {{}} WHERE {SELECTED} "
    return list(_answers(settings, store, selection, query + "GROUP BY ALL ORDER BY ALL"))


def silver_rows(
    settings: Settings, store: ObjectStore, selection: Selection, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` selected rows: date, topic, event_id, reason, detail, raw_path."""
    names = ("date", "topic", "event_id", "reason", "detail", "raw_path")
    query = (
        f"SELECT date::VARCHAR, _topic, event_id, reason, detail, _raw_path FROM {{}} "
        f"WHERE {SELECTED} ORDER BY ALL LIMIT {limit:d}"
    )
    rows = _answers(settings, store, selection, query)
    return [dict(zip(names, row, strict=True)) for row in rows]


def days_set_aside(counts: list[SilverCount]) -> list[date]:
    """Days of events that failed an expectation, ascending: a reset takes them again."""
    return sorted({day for _, day, reason, _ in counts if reason == SET_ASIDE})


def _answers(
    settings: Settings, store: ObjectStore, selection: Selection, query: str
) -> Iterator[tuple[Any, ...]]:
    table = TABLES["silver.quarantine"]
    if not is_written(table, store):
        return
    chosen = {
        "topics": sorted(selection.topics),
        "reasons": sorted(selection.reasons),
        "days": sorted(map(str, selection.dates)),
    }
    with connect(settings) as connection:
        yield from connection.execute(query.format(table.name), chosen).fetchall()
