"""Labels of one ticket, and who gave them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Labels:
    """Of the closed lists in schemas/tables/tickets.py."""

    category: str
    urgency: str
    sentiment: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Labels of a ticket; the columns of silver.ticket_labels say what the rest means."""

    labels: Labels
    answered_by: str
    classifier: str
    fallback_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket with its text. digest: of the text, see `_text_digest`.

    opened_date: None where nobody knows it.
    """

    ticket_id: str
    student_hash: str
    opened_date: date | None
    subject: str
    body: str
    digest: str
