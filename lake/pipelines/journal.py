"""The journal of builds (bronze.builds): what is applied, and what a crash left half done."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lake.delta_reading import delta_rows
from schemas.derivations import arrow_schema
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.storage import ObjectStore

BUILDS = TABLES["bronze.builds"]


@dataclass(frozen=True)
class Touched:
    """Days that a build changes: of events (and daily tables), and of session starts."""

    dates: frozenset[date] = frozenset()
    session_dates: frozenset[date] = frozenset()

    def __or__(self, other: Touched) -> Touched:
        return Touched(self.dates | other.dates, self.session_dates | other.session_dates)

    def __bool__(self) -> bool:
        return bool(self.dates or self.session_dates)


@dataclass(frozen=True)
class Unfinished:
    """A build that a crash or a gate ended while it published: what it touched and took."""

    build_id: str
    touched: Touched
    paths: frozenset[str]


def new_build_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


class Journal:
    """Appends the states of builds, and answers from them what is applied and what is open."""

    def __init__(self, store: ObjectStore) -> None:
        self._uri = store.delta_uri(BUILDS.path)
        self._options = store.storage_options
        self._rows: pa.Table | None = None

    def record(
        self, build_id: str, state: str, touched: Touched, paths: Iterable[str] = ()
    ) -> None:
        row = {
            "build_id": build_id,
            "state": state,
            "at": datetime.now(UTC),
            "paths": sorted(paths),
            "dates": sorted(touched.dates),
            "session_dates": sorted(touched.session_dates),
        }
        write_deltalake(
            self._uri,
            pa.Table.from_pylist([row], arrow_schema(BUILDS)),
            mode="append",
            storage_options=self._options,
            description=BUILDS.doc,
        )
        self._rows = None

    def refresh(self) -> None:
        """Read the journal anew at its next use: another process may have built meanwhile."""
        self._rows = None

    def rows(self) -> pa.Table:
        if self._rows is None:
            if DeltaTable.is_deltatable(self._uri, self._options):
                table = DeltaTable(self._uri, storage_options=self._options)
                self._rows = delta_rows(table, arrow_schema(BUILDS))
            else:
                self._rows = arrow_schema(BUILDS).empty_table()
        return self._rows

    def applied_paths(self) -> set[str]:
        """Raw objects that finished builds took into silver."""
        return {
            path
            for row in self.rows().select(["state", "paths"]).to_pylist()
            if row["state"] == "finished"
            for path in row["paths"]
        }

    def unfinished(self) -> list[Unfinished]:
        """Builds that began to publish and neither finished nor were repaired."""
        rows = self.rows().to_pylist()
        closed = {row["build_id"] for row in rows if row["state"] != "publishing"}
        return [
            Unfinished(
                row["build_id"],
                Touched(frozenset(row["dates"]), frozenset(row["session_dates"])),
                frozenset(row["paths"]),
            )
            for row in rows
            if row["build_id"] not in closed
        ]
