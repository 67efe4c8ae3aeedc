"""Operations: what the lake writes down about its own work."""

from schemas.table import Column, Table

GATE_RESULTS = Table(
    name="bronze.gate_results",
    doc="What every gate of every build expected, what it saw and what it did.",
    grain="one expectation of one table over one set of dates in one build",
    columns=(
        Column("build_id", "string", "Build that asked."),
        Column("table_name", "string", "Table that was about to be published."),
        Column("dates", "string", "UTC days of the rows, joined by commas; empty for no day."),
        Column("expectation", "string", "Name of the check, as in the data dictionary."),
        Column("meaning", "string", "What the check wants, in words."),
        Column("severity", "string", "What a failure means.", values=("error", "warn")),
        Column("success", "boolean", "Whether it was met."),
        Column(
            "outcome",
            "string",
            "What the gate did.",
            values=("passed", "warned", "quarantined", "stopped"),
        ),
        Column("observed", "double", "What was seen; for a check on rows the rows that break it."),
        Column("expected", "string", "What was wanted of `observed`."),
        Column("row_count", "bigint", "Rows that were checked."),
        Column("evaluated_at", "timestamp", "When the gate judged."),
    ),
    keys=("build_id", "table_name", "dates", "expectation"),
    readers=frozenset({"engineer"}),
)

OPERATIONS = (GATE_RESULTS,)
