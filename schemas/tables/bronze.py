"""Bronze: what was received, and the ledger of raw objects."""

from schemas.table import Column, Table, between, ordered

RAW_OBJECTS = Table(
    name="bronze.raw_objects",
    doc="The ledger: which raw and quarantine objects exist and which records they hold. "
    "An object that is not in it does not exist to any reader.",
    grain="one object of one flush",
    columns=(
        Column("topic", "string", "Kafka topic, or the kind of file."),
        Column("source", "string", "Kafka cluster and topic, or SHA-256 of the file's content."),
        Column("partition", "int", "Kafka partition; 0 for files."),
        Column("date", "date", "UTC day of the events; for quarantine the day of ingestion."),
        Column("path", "string", "Object below the lake's root."),
        Column("first_offset", "bigint", "Smallest offset in the object."),
        Column("last_offset", "bigint", "Largest offset in the object."),
        Column("flush_first_offset", "bigint", "First offset of the whole flush."),
        Column("flush_last_offset", "bigint", "Last offset of the whole flush."),
        Column("record_count", "bigint", "Records in the object."),
        Column("bytes", "bigint", "Compressed size.", unit="bytes"),
        Column("min_ts", "timestamp", "Earliest event.", "a quarantine object"),
        Column("max_ts", "timestamp", "Latest event.", "a quarantine object"),
        Column("ingested_at", "timestamp", "When the flush was committed."),
        Column("is_quarantine", "boolean", "Whether the object holds rejected records."),
        Column("reasons", "string", "JSON: reason code to count.", "a raw object"),
        Column(
            "id_digest",
            "string",
            "Order-independent digest of the event ids, decimal.",
            "a quarantine object",
            formula="sum of the first 8 bytes (big endian) of sha256(event_id), modulo 2^64",
        ),
        Column(
            "replaces",
            "string",
            "Quarantine object that a replay retired in favour of this row.",
            "not written by a replay",
        ),
        Column(
            "flush_gap_count",
            "bigint",
            "Offsets of the flush's span that hold no record: those that Kafka's transactions and "
            "compaction leave out, and those of an expired range but for the one that stands for "
            "it in quarantine.",
            "written before the column was declared",
        ),
    ),
    keys=("path",),
    checks=(
        between("record_count", 1),
        ordered("first_offset", "last_offset"),
        ordered("flush_first_offset", "flush_last_offset"),
    ),
    readers=frozenset({"engineer"}),
)

BUILDS = Table(
    name="bronze.builds",
    doc="The journal of builds. A build writes a row `publishing` before the first table changes "
    "and a row `finished` after the last; one without the second is repaired by the next build. "
    "A build of the continuous query that a gate stopped is `held` until it is retried.",
    grain="one state of one build",
    columns=(
        Column("build_id", "string", "Identity of the build."),
        Column(
            "state",
            "string",
            "How far the build came.",
            values=("publishing", "finished", "repaired", "held"),
        ),
        Column("at", "timestamp", "When it came so far."),
        Column("paths", "array<string>", "Raw objects that the build takes into silver."),
        Column("dates", "array<date>", "Days whose events it changes."),
        Column("session_dates", "array<date>", "Days whose sessions it changes."),
        Column("reason", "string", "Why it is held.", "not held"),
    ),
    keys=("build_id", "state"),
    readers=frozenset({"engineer"}),
)

BRONZE = (RAW_OBJECTS, BUILDS)
