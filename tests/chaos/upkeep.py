"""What schedulers and operators run beside a stream, one command after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.programs import Program

# Events that are later than this are refused, and taken by a replay that allows more.
MAX_EVENT_AGE_DAYS = 1
BACKFILLED_DAYS = 2
NAMES = ("maintain", "replay", "backfill")


def command(name: str) -> list[str]:
    """Arguments of `lmslake`."""
    last = datetime.now(UTC).date()
    first = last - timedelta(days=BACKFILLED_DAYS - 1)
    return {
        "maintain": ["maintain", "--wait-minutes", "1"],
        "replay": ["quarantine", "replay", "--reason", "too_old", "--max-event-age", "30"],
        "backfill": ["backfill", "--from", f"{first}", "--to", f"{last}", "--reset", "--restart"],
    }[name]


class Upkeep:
    """Each command in turn. One that fails is a fault, unless the store was struck meanwhile."""

    def __init__(
        self, program: Callable[[str, list[str]], Program], tell: Callable[[str], None]
    ) -> None:
        self._program, self._tell = program, tell
        self._turn = 0
        self._running: Program | None = None
        self._is_disturbed = False
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []

    @property
    def is_at_rest(self) -> bool:
        return self._running is None

    @property
    def has_done_all(self) -> bool:
        """Whether each command has succeeded once."""
        return all(self.done[name] for name in NAMES)

    def look(self, *, is_store_struck: bool, starts: bool = True) -> None:
        """Note what has ended, and start the next command."""
        self._is_disturbed |= is_store_struck
        name = NAMES[self._turn % len(NAMES)]
        if self._running is not None:
            if self._running.is_running:
                return
            self._note_end(name, self._running)
            self._running = None
            return
        if starts and not is_store_struck:
            self._is_disturbed = False
            self._running = self._program(name, command(name))
            self._running.start()

    def _note_end(self, name: str, program: Program) -> None:
        code = program.exit_code
        self._tell(f"{name} ended with {code}")
        self._turn += 1
        if code == 0:
            self.done[name] += 1
        elif not self._is_disturbed:
            self.faults.append(f"{name} ended with {code}: {program.output[-2_000:]}")
