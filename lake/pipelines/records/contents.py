"""Which landed files wait for a build of records. Needs no Spark session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake.delta_reading import delta_rows, opened_table
from lake.fencing import NO_FENCE, Fence
from lake.pipelines.identity import has_other_rules
from lake.pipelines.journal import Journal
from schemas.derivations import arrow_schema
from schemas.tables.records import LANDED_FILES
from schemas.tables.records_silver import RECORD_BUILDS

if TYPE_CHECKING:
    from lake.pipelines.journal import Unfinished
    from lake.storage import ObjectStore
    from lake.transforms.records.risk import RiskRules

# Fewer rows of files than this in the whole lake: compiling for speed costs more than it gives.
SMALL_ROWS = 100_000


@dataclass(frozen=True, order=True)
class Content:
    """A landed file: a row of bronze.landed_files."""

    source: str
    content_hash: str
    row_count: int

    @property
    def path(self) -> str:
        """How the journal names it."""
        return f"{self.source}/{self.content_hash}"


def landed_contents(store: ObjectStore) -> list[Content]:
    """All landed files, in the order of their paths."""
    table = opened_table(store, LANDED_FILES)
    if table is None:
        return []
    schema = arrow_schema(LANDED_FILES, ("source", "content_hash", "row_count"))
    return sorted(Content(**row) for row in delta_rows(table, schema).to_pylist())


def records_journal(store: ObjectStore, fence: Fence = NO_FENCE) -> Journal:
    return Journal(store, RECORD_BUILDS, fence)


def pending_contents(
    store: ObjectStore, journal: Journal, unfinished: Iterable[Unfinished] = ()
) -> list[Content]:
    """Files that no finished build has taken, and those of the unfinished builds."""
    again = frozenset[str]().union(*(build.paths for build in unfinished))
    taken = journal.applied_paths() - again
    return [content for content in landed_contents(store) if content.path not in taken]


def has_work(store: ObjectStore, rules: RiskRules) -> bool:
    """Whether files wait for a build, a killed one for its repair, or risk for other rules."""
    journal = records_journal(store)
    unfinished = journal.unfinished()
    waits = unfinished or pending_contents(store, journal, unfinished)
    return bool(waits) or has_other_rules(store, rules)


def is_little(store: ObjectStore) -> bool:
    """Whether the whole lake has few rows of files."""
    return sum(content.row_count for content in landed_contents(store)) < SMALL_ROWS
