"""What a gate saw of one table, and the error of one that did not open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from lake.errors import LakeError
from lake.gates.judge import Verdict
from schemas.table import Table


class GateFailed(LakeError):  # noqa: N818 - what happened, not a fault of the program
    """A publication was stopped; the tables are as they were."""


@dataclass(frozen=True)
class GateResult:
    """What a gate saw. `quarantines` says that rows which break an error check were set aside."""

    table: Table
    dates: tuple[date, ...]
    row_count: int
    verdicts: tuple[Verdict, ...]
    quarantines: bool
    evaluated_at: datetime

    def outcome(self, verdict: Verdict) -> str:
        if verdict.success:
            return "passed"
        if verdict.expectation.severity == "warn":
            return "warned"
        if self.quarantines and verdict.expectation.is_row_rule:
            return "quarantined"
        return "stopped"

    def _with_outcome(self, outcome: str) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if self.outcome(v) == outcome)

    @property
    def stopping(self) -> tuple[Verdict, ...]:
        return self._with_outcome("stopped")

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        return self._with_outcome("warned")

    @property
    def worst_outcome(self) -> str:
        outcomes = {self.outcome(verdict) for verdict in self.verdicts}
        return next(o for o in ("stopped", "quarantined", "warned", "passed") if o in outcomes)

    @property
    def days(self) -> str:
        """The dates in words: one day, or first to last with their number."""
        if not self.dates:
            return "no date"
        if len(self.dates) == 1:
            return self.dates[0].isoformat()
        return f"{min(self.dates)} to {max(self.dates)} ({len(self.dates)} dates)"
