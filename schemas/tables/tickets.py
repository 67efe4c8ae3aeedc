"""What support tickets are about: labels only, never their text."""

from schemas import columns as c
from schemas.table import Column, Table, matches
from schemas.tables.records_columns import (
    ANALYSTS,
    HEX_64,
    IS_STUDENT,
    OPENED_DATE,
    RETENTION_DAYS,
)

# Category → what belongs there. The order decides where the rules find two equally likely.
CATEGORIES = {
    "wellbeing": "health, stress, bullying, safety, worries about oneself or others",
    "access": "log-in, passwords, accounts, permissions",
    "billing": "fees, payments, refunds, invoices",
    "grades": "scores, marks, grading, results, feedback on work that was handed in",
    "schedule": "dates, deadlines, timetables, absences, exam times",
    "administration": "enrolment, change of class or course, certificates, personal data",
    "content": "lessons, assignments, materials: where they are, what they mean, what is wrong",
    "technical": "video, sound, pages, apps, uploads or devices that do not work",
    "other": "none of these",
}
URGENCIES = ("low", "normal", "high")
SENTIMENTS = ("negative", "neutral", "positive")
# Why the rules answered although a model was asked → when.
FALLBACK_REASONS = {
    "timeout": "the model took too long",
    "unreachable": "no connection, or it broke",
    "rate_limited": "too many requests",
    "server_error": "the model's server failed",
    "refused": "the model's server did not take the request (key, model name or text)",
    "malformed": "the answer was none, or not one of the labels",
    "cost_cap": "the run's tokens were used up",
    "breaker": "too many requests in a row had failed",
}

TICKET_LABELS = Table(
    name="silver.ticket_labels",
    doc="Category, urgency and sentiment of support tickets, by rules or by a language model. "
    "Estimates: no other table is computed from them. `lmslake tickets label` writes it.",
    grain="one ticket",
    columns=(
        Column("ticket_id", "string", "Identity of the ticket."),
        c.STUDENT_HASH,
        OPENED_DATE,
        Column("category", "string", "What the ticket is about.", values=tuple(CATEGORIES)),
        Column("urgency", "string", "How soon it wants an answer.", values=URGENCIES),
        Column("sentiment", "string", "How the writer feels about it.", values=SENTIMENTS),
        Column("answered_by", "string", "Who gave the labels.", values=("rules", "model")),
        Column("classifier", "string", "Version of the rules, or name of the model."),
        Column(
            "fallback_reason",
            "string",
            "Why the rules answered although a model was asked.",
            "the model answered, or none was asked",
            values=tuple(FALLBACK_REASONS),
        ),
        Column(
            "_text_digest",
            "string",
            "Tells whether the text is still the one that was labelled; without the lake's key "
            "nobody can try texts against it.",
            formula="HMAC-SHA256(pseudonym key, `ticket` 0x1f subject 0x1f body)",
        ),
        Column("_labelled_at", "timestamp", "When the labels were given."),
    ),
    keys=("ticket_id",),
    partition_by="opened_date",
    checks=(IS_STUDENT, matches("_text_digest", HEX_64)),
    retention_days=RETENTION_DAYS,
    readers=ANALYSTS,
)
