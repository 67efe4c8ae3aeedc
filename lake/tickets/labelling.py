"""Labels for the tickets that have none, whose text changed, or that are asked for again.

A text is labelled once. Another version of the rules or another model does not label it anew by
itself: that would change numbers without anybody asking, and cost money. `classifier` says who
labelled it; `Choice` asks for more.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from lake.fencing import keep_out_others
from lake.gates import Gate, prepare
from lake.leases import awaited_lease
from lake.tickets.exchange import Redacted
from lake.tickets.labels import Answer, Labels, Ticket
from lake.tickets.model import Model
from lake.tickets.monitoring import TicketMetrics
from lake.tickets.redaction import Redactor
from lake.tickets.rules import answer_by_rules
from lake.tickets.table import LabelTable, Row, label_table, read_names, read_tickets

if TYPE_CHECKING:
    from lake.storage import ObjectStore

LEASE = "tickets"
# Labels are kept at least so often: a killed run has not paid for more in vain.
KEPT_EVERY_TICKETS, KEPT_EVERY_SECONDS = 5_000, 60.0

Classify = Callable[[Sequence[Ticket]], list[Answer]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Which tickets to label besides new and changed ones, and how many at most, newest first.

    again: all. retry_fallbacks: those that the rules labelled because a model failed.
    """

    again: bool = False
    retry_fallbacks: bool = False
    limit: int | None = None


@dataclass
class LabelReport:
    """What a run did. answers: (answered_by, fallback_reason) → tickets labelled.

    moved: the text is the same, student or day is not. gone: the ticket is no more.
    left: tickets that are to be labelled yet, because of the limit.
    """

    answers: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    unchanged: int = 0
    moved: int = 0
    gone: int = 0
    left: int = 0

    @property
    def labelled(self) -> int:
        return self.answers.total()


@dataclass(frozen=True)
class ByRules:
    """Labels tickets by the rules alone."""

    def __call__(self, tickets: Sequence[Ticket]) -> list[Answer]:
        return [answer_by_rules(ticket) for ticket in tickets]


@dataclass(frozen=True)
class ByModel:
    """Labels tickets by a model that sees them redacted, and by the rules where it fails.

    names: student_hash → names and e-mail address of the student.
    """

    model: Model
    redactor: Redactor
    names: Mapping[str, tuple[str, ...]]

    def __call__(self, tickets: Sequence[Ticket]) -> list[Answer]:
        found = self.model.ask([self._redacted(ticket) for ticket in tickets])
        return [
            Answer(labels, "model", self.model.options.name)
            if isinstance(labels, Labels)
            else answer_by_rules(ticket, labels)
            for ticket, labels in zip(tickets, found, strict=True)
        ]

    def _redacted(self, ticket: Ticket) -> Redacted:
        own = self.names.get(ticket.student_hash, ())
        return Redacted(
            self.redactor.redact(ticket.subject, own), self.redactor.redact(ticket.body, own)
        )


def by_model(
    store: ObjectStore, model: Model, student_prefix: str | None, phone_region: str | None
) -> ByModel:
    """Reads the directory of the lake, so that none of its names is ever sent."""
    names = read_names(store)
    known = {name[0] for name in names.values() if name and "@" not in name[0]}
    return ByModel(model, Redactor(known, student_prefix, phone_region), names)


def label_tickets(
    store: ObjectStore,
    key: bytes,
    classify: Classify,
    batch: int,
    choice: Choice,
    now: datetime,
    metrics: TicketMetrics,
    patience: timedelta = timedelta(0),
    tell: Callable[[str], None] = log.info,
) -> LabelReport:
    """Bring silver.ticket_labels up to date with restricted.ticket_texts.

    key: of the pseudonyms. batch: tickets given to `classify` at once. now: UTC. Run again it
    changes nothing. Raises LakeError without tickets, GateFailed, and LeaseHeld where another run,
    or the upkeep of the table, takes longer than `patience`.
    """
    report = LabelReport()
    with awaited_lease(store, LEASE, patience, tell) as lease, Gate(store) as gate:
        keep_out_others(store, lease, LEASE, lambda _: label_table(store, lease.fence))
        table = LabelTable(store, gate, lease.fence)
        wanted = _wanted(table, store, key, choice, report)
        if wanted:
            prepare()
        kept_at, since = time.monotonic(), 0
        for tickets in _batches(wanted, batch):
            for ticket, answer in zip(tickets, classify(tickets), strict=True):
                table.put(_row(ticket, answer, now))
                report.answers[answer.answered_by, answer.fallback_reason] += 1
                metrics.count(answer)
            since += len(tickets)
            is_due = time.monotonic() - kept_at > KEPT_EVERY_SECONDS
            if is_due or since >= KEPT_EVERY_TICKETS:
                lease.check()
                table.publish()
                kept_at, since = time.monotonic(), 0
        lease.check()
        table.publish()
    return report


def _wanted(
    table: LabelTable, store: ObjectStore, key: bytes, choice: Choice, report: LabelReport
) -> list[Ticket]:
    """Tickets to label, newest first, of unknown days last; moves and drops rows of the others."""
    wanted, seen = [], set()
    for ticket in read_tickets(store, key):
        seen.add(ticket.ticket_id)
        row = table.row(ticket.ticket_id)
        if row is None or row["_text_digest"] != ticket.digest or _is_asked_for(row, choice):
            wanted.append(ticket)
        elif _place(row) != (ticket.student_hash, ticket.opened_date):
            place = {"student_hash": ticket.student_hash, "opened_date": ticket.opened_date}
            table.put(row | place)
            report.moved += 1
        else:
            report.unchanged += 1
    for ticket_id in sorted(table.ticket_ids - seen):
        table.drop(ticket_id)
        report.gone += 1
    wanted.sort(key=lambda ticket: (ticket.opened_date or date.min, ticket.ticket_id), reverse=True)
    report.left = len(wanted[choice.limit :]) if choice.limit is not None else 0
    return wanted[: choice.limit]


def _is_asked_for(row: Row, choice: Choice) -> bool:
    return choice.again or (choice.retry_fallbacks and row["fallback_reason"] is not None)


def _place(row: Row) -> tuple[object, object]:
    return row["student_hash"], row["opened_date"]


def _batches(tickets: Sequence[Ticket], size: int) -> Iterator[Sequence[Ticket]]:
    for first in range(0, len(tickets), size):
        yield tickets[first : first + size]


def _row(ticket: Ticket, answer: Answer, now: datetime) -> Row:
    return {
        "ticket_id": ticket.ticket_id,
        "student_hash": ticket.student_hash,
        "opened_date": ticket.opened_date,
        **asdict(answer.labels),
        "answered_by": answer.answered_by,
        "classifier": answer.classifier,
        "fallback_reason": answer.fallback_reason,
        "_text_digest": ticket.digest,
        "_labelled_at": now,
    }
