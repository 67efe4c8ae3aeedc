"""What `lmslake land` says of each file, and of all of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from lake.landing.naming import readable

if TYPE_CHECKING:
    from lake.landing.landing import Outcome

GAP = "   "
KINDS = {"known": "known already", "failed": "failed", "left": "left where they are"}
DEFECTS = {"ragged_row": "ragged", "not_an_object": "not an object"}


class Tally:
    """Prints a line for each file as it is done, and what came of all at the end."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._rows = 0
        self._is_good = True

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome.kind] += 1
        self._rows += outcome.rows
        self._is_good = self._is_good and outcome.is_good
        click.echo(outcome_line(outcome))

    def end(self, zone: str | None = None, *, is_failure_told: bool = False) -> None:
        """The sum; ends the process with 1 where a file needs a person."""
        counts = self.outcomes
        if total := counts.total():
            parts = [f"{counts['landed']} landed ({counted(self._rows, 'row')})"]
            parts += [f"{counts[kind]} {words}" for kind, words in KINDS.items() if counts[kind]]
            click.echo(f"{counted(total, 'file')}: {', '.join(parts)}.")
        if counts["failed"] and zone:
            click.echo(f"Why, in full:  {zone}/failed/*.reason.json")
        if self._rows:
            click.echo('Look at them:  lmslake sql "SELECT * FROM bronze.landed_files"')
        if not self._is_good and not is_failure_told:
            sys.exit(1)


def outcome_line(outcome: Outcome) -> str:
    """What became of a file: name, source, and how much was read how, or why nothing was."""
    said = {
        "landed": _landed,
        "known": _known,
        "failed": _failed,
        "left": lambda outcome: outcome.note,
    }[outcome.kind](outcome)
    return GAP.join(part for part in (readable(outcome.name), outcome.source, said) if part)


def _landed(outcome: Outcome) -> str:
    rows = counted(outcome.rows, "row")
    if outcome.defects:
        defects = (f"{n:,} {DEFECTS[code]}" for code, n in sorted(outcome.defects.items()))
        rows += f" ({', '.join(defects)})"
    separator = "JSON" if outcome.delimiter is None else json.dumps(outcome.delimiter)
    parts = [rows, outcome.encoding, separator]
    if not outcome.rows:
        parts.append("a file without records")
    if outcome.extra_columns:
        parts.append(counted(len(outcome.extra_columns), "extra column"))
    return ", ".join(parts)


def _known(outcome: Outcome) -> str:
    if outcome.first is None:
        return "nothing to do"
    name, date = readable(outcome.first.file_name), outcome.first.landed_at.date()
    return f"same content as {name} of {date}: nothing to do"


def _failed(outcome: Outcome) -> str:
    reason = outcome.fault.reason if outcome.fault else ""
    return f"FAILED {reason}: {outcome.fault}"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
