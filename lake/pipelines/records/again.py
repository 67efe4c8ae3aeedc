"""Which rows that builds have received are judged again. Needs no Spark session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake.pipelines.journal import Unfinished

# Source to reasons, exactly as they are in silver.records_quarantine. Where one is of a date that
# could not be told, rows in force whose quality_flags have it are meant, too, and those that they
# took out of force.
Again = Mapping[str, frozenset[str]]
# No source is called that: in the journal such a path is no content.
PREFIX = "quarantine"


def again_paths(again: Again) -> list[str]:
    """How the journal names them, so that the repair of a killed build judges the same ones."""
    return [f"{PREFIX}/{source}/{reason}" for source in again for reason in again[source]]


def with_unfinished(again: Again, unfinished: Iterable[Unfinished]) -> Again:
    """What is asked for, and what builds that were killed had been asked for."""
    merged = dict(again)
    for path in frozenset[str]().union(*(build.paths for build in unfinished)):
        kind, source, *rest = path.split("/", 2)
        if kind == PREFIX:
            merged[source] = merged.get(source, frozenset()).union(rest)
    return merged
