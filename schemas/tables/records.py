"""School records as they were received: one table per source, and which files were landed."""

from schemas.records import SOURCES, Field, Source
from schemas.table import Column, Table, between

READERS = frozenset({"engineer"})

CONTENT_HASH = Column(
    "_content_hash",
    "string",
    "SHA-256 of the file's bytes as they lay there; of messages with their place in Kafka.",
)
RECEIVED = (
    Column(
        "_extra",
        "string",
        "JSON object of what the source does not declare: header as in the file to value. +1, +2 "
        "are fields beyond the header, #3 is the third column where its name is blank or taken; of "
        "messages #base64 is a value that is no text, and #key the key of one without a value.",
        "there is nothing of that kind",
    ),
    Column(
        "_defect",
        "string",
        "Why the row is not well-formed: `ragged_row: 4 of 6 fields`, or `not_an_object` (its JSON "
        "or, of a message, what there is instead is in _extra under the empty name); "
        "`expired_in_broker` stands for messages that Kafka removed before they were taken.",
        "it is well-formed",
    ),
    Column("_row", "bigint", "Number of the record in its file, from 1, the header not counted."),
    Column("_line", "bigint", "Line of the file on which the record starts, from 1.", "JSON"),
    CONTENT_HASH,
    Column(
        "_source_file",
        "string",
        "Name of the file as it was delivered; of messages topic, partition and offsets: "
        "`kafka:school.students/0/100-250`.",
    ),
    Column("_ingested_at", "timestamp", "When the file, or the range of messages, was landed."),
)


def received_table(source: Source) -> Table:
    """The bronze table of a source: its fields as text, then where each row came from."""
    return Table(
        name=source.table,
        doc=f"{source.doc} Rows of files, as received: append-only text.",
        grain="one record of one file",
        columns=(*(_column(field) for field in source.fields), *RECEIVED),
        keys=("_content_hash", "_row"),
        checks=(between("_row", 1), between("_line", 1)),
        readers=READERS,
    )


def _column(field: Field) -> Column:
    return Column(
        field.name,
        "string",
        field.doc,
        "the row has none" if field.required else "the file or the row has none",
        sensitivity="identifier" if field.is_identifier else "none",
    )


LANDED_FILES = Table(
    name="bronze.landed_files",
    doc="Files of school records that were landed, whole, and ranges of messages of their topics; "
    "their rows are in the source's table.",
    grain="one content, whatever it was called and however often it came",
    columns=(
        Column("content_hash", "string", "SHA-256 of the file's bytes as they lay there."),
        Column("source", "string", "Source that the file belongs to.", values=tuple(SOURCES)),
        Column("file_name", "string", "Name under which it came first; see _source_file."),
        Column(
            "bytes", "bigint", "Size as it lay there; of messages with 16 for each.", unit="bytes"
        ),
        Column("row_count", "bigint", "Rows of the file, and of it in the source's table."),
        Column(
            "encoding",
            "string",
            "How its bytes became text: found by a byte order mark, else utf-8 where all of it is, "
            "else utf-16 by its NUL bytes, else cp1252, else latin-1.",
        ),
        Column("delimiter", "string", "What separates its fields.", "JSON"),
        Column("defect_count", "bigint", "Rows with a _defect."),
        Column("extra_columns", "array<string>", "Columns that the source does not declare."),
        Column("landed_at", "timestamp", "When it was noted, after its rows were committed."),
    ),
    keys=("content_hash",),
    checks=(between("bytes", 1), between("row_count", 0), between("defect_count", 0)),
    readers=READERS,
)

RECORDS = {source.name: received_table(source) for source in SOURCES.values()}
