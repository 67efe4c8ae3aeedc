"""The journals of builds (bronze.builds and its like): what is applied, what is half done."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake.delta_reading import delta_rows, opened_table
from lake.delta_writing import declared_table, write_rows
from lake.fencing import NO_FENCE, Fence
from schemas.derivations import arrow_schema
from schemas.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.storage import ObjectStore
    from schemas.table import Table

BUILDS = TABLES["bronze.builds"]
# Of two machines that build one lake; rows that were read before are known by their keys.
CLOCK_SKEW = timedelta(hours=1)


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
    """A build that did not come to its end: what it touched and took.

    reason: why a gate ended it and it is held; empty for one that a crash ended.
    """

    build_id: str
    touched: Touched
    paths: frozenset[str]
    at: datetime
    reason: str = ""


def new_build_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


class Journal:
    """Appends the states of builds, and answers from them what is applied and what is open.

    It is read once and then only what others and it have added: a process that builds for months
    asks it before each build. table: one of the columns of bronze.builds. fence: that of the lock
    under which it is written.
    """

    def __init__(self, store: ObjectStore, table: Table = BUILDS, fence: Fence = NO_FENCE) -> None:
        self.fence = fence
        self._store = store
        self._table = table
        self._opened: DeltaTable | None = None
        self._files: frozenset[str] = frozenset()
        self._states: dict[tuple[str, str], dict[str, Any]] = {}
        self._applied: set[str] = set()
        self._is_current = False

    def record(
        self,
        build_id: str,
        state: str,
        touched: Touched,
        paths: Iterable[str] = (),
        reason: str | None = None,
    ) -> None:
        """Add a state of a build. Raises LeaseHeld where the lock of the fence was lost."""
        row = {
            "build_id": build_id,
            "state": state,
            "at": datetime.now(UTC),
            "paths": sorted(paths),
            "dates": sorted(touched.dates),
            "session_dates": sorted(touched.session_dates),
            "reason": reason,
        }
        rows = pa.Table.from_pylist([row], arrow_schema(self._table))
        table = self._newest() or declared_table(self._store, self._table, {}, self.fence)
        write_rows(table, rows, build_id, None, self.fence)
        self._is_current = False

    def refresh(self) -> None:
        """Look at its next use for what another process may have built meanwhile."""
        self._is_current = False

    def states(self) -> list[dict[str, Any]]:
        """All states of all builds, but of a finished one not that it was publishing: the columns
        of bronze.builds."""
        if not self._is_current:
            self._read()
            self._is_current = True
        return list(self._states.values())

    def _newest(self) -> DeltaTable | None:
        if self._opened is None:
            self._opened = opened_table(self._store, self._table)
        else:
            self._opened.update_incremental()
        return self._opened

    def _read(self) -> None:
        table = self._newest()
        if table is None:
            return
        files, before = frozenset(table.file_uris()), self._files
        if files == before:
            return
        where = "TRUE"
        if before and before < files:
            newest = max(state["at"] for state in self._states.values())
            since = (newest - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%SZ")
            where = f"at >= TIMESTAMP '{since}'"
        read = delta_rows(table, arrow_schema(self._table), where).to_pylist()
        for state in read:
            # What is known already stays: its paths are the same texts as those of _applied.
            if self._states.setdefault((state["build_id"], state["state"]), state) is not state:
                continue
            if state["state"] == "finished":
                self._applied.update(state["paths"])
        for state in read:
            if state["state"] == "finished":
                # That it began says nothing any more, and a stream keeps thousands a day.
                self._states.pop((state["build_id"], "publishing"), None)
        self._files = files

    def applied_paths(self) -> set[str]:
        """Raw objects that finished builds took into silver. Not to be changed by the caller."""
        self.states()
        return self._applied

    def unfinished(self) -> list[Unfinished]:
        """Builds that began to publish and neither finished, nor are held, nor were repaired."""
        return self._open("publishing", closed_by={"finished", "repaired", "held"})

    def held(self) -> list[Unfinished]:
        """Builds that a gate stopped and that wait for a retry, oldest first."""
        applied = self.applied_paths()
        held = self._open("held", closed_by={"repaired"})
        return sorted(
            (build for build in held if not build.paths <= applied), key=lambda build: build.at
        )

    def _open(self, state: str, closed_by: set[str]) -> list[Unfinished]:
        rows = self.states()
        closed = {row["build_id"] for row in rows if row["state"] in closed_by}
        return [
            Unfinished(
                row["build_id"],
                Touched(frozenset(row["dates"]), frozenset(row["session_dates"])),
                frozenset(row["paths"]),
                row["at"],
                row["reason"] or "",
            )
            for row in rows
            if row["state"] == state and row["build_id"] not in closed
        ]
