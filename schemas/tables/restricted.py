"""Who is behind a pseudonym, and what students wrote: for the registrar alone."""

from schemas import columns as c
from schemas.table import Column, Table
from schemas.tables.records_columns import (
    IDENTIFIERS,
    IS_STUDENT,
    LINEAGE,
    OPENED_AT,
    OPENED_DATE,
    RETENTION_DAYS,
)

REGISTRAR = frozenset({"registrar"})


def _told_at(field: str) -> Column:
    return Column(
        f"_{field}_version",
        "string",
        f"Instant, _digest and _identifiers of the record that told the {field}.",
        "no record told it",
    )


def _particular(name: str, kind: str, doc: str) -> Column:
    return Column(
        name, kind, doc, "no record told it",
        formula="newest that is not null, by the time of its record, then by _digest, _identifiers",
        sensitivity="identifier",
    )  # fmt: skip


STUDENT_DIRECTORY = Table(
    name="restricted.student_directory",
    doc="Names and contacts of students, from registers and enrolments. Raw identifiers: grant it "
    "to nobody but the registrar.",
    grain="one student",
    columns=(
        c.STUDENT_HASH,
        _particular("student_name", "string", "Full name."),
        _particular("email", "string", "E-mail address."),
        _particular("phone", "string", "Telephone number, E.164."),
        _particular("date_of_birth", "date", "Day of birth."),
        *(_told_at(name) for name in ("student_name", "email", "phone", "date_of_birth")),
    ),
    keys=("student_hash",),
    checks=(IS_STUDENT,),
    retention_days=RETENTION_DAYS,
    readers=REGISTRAR,
)

TICKET_TEXTS = Table(
    name="restricted.ticket_texts",
    doc="What students wrote to the support, names and all. Raw identifiers: grant it to nobody "
    "but the registrar. All else of a ticket is in silver.fact_support_tickets.",
    grain="one ticket",
    columns=(
        Column("ticket_id", "string", "Identity of the ticket."),
        c.STUDENT_HASH,
        OPENED_DATE,
        OPENED_AT,
        Column("closed_at", "timestamp", "When the ticket was closed.", "it is open"),
        Column("subject", "string", "Subject line.", sensitivity="identifier"),
        Column("body", "string", "Text.", "not given", sensitivity="identifier"),
        *LINEAGE,
        IDENTIFIERS,
    ),
    keys=("ticket_id",),
    partition_by="opened_date",
    checks=(IS_STUDENT,),
    retention_days=RETENTION_DAYS,
    readers=REGISTRAR,
)

RESTRICTED = (STUDENT_DIRECTORY, TICKET_TEXTS)
