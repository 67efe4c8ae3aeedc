"""Properties of Delta that declared tables are created with."""

from __future__ import annotations

# Rows of this one change one by one; the others are replaced by whole days, and stay readable for
# readers that know no deletion vectors.
MERGED = ("silver.events",)
# Statistics of these columns let readers skip files; those of long strings cost and skip nothing.
STATISTICS = {
    "silver.events": "ts,session_start",
    "silver.sessions": "session_start,session_end",
    "silver.fact_attendance": "attendance_id",
    "silver.fact_assessments": "assessment_id",
    "silver.fact_support_tickets": "ticket_id",
    "restricted.ticket_texts": "ticket_id",
}


def table_properties(name: str) -> dict[str, str]:
    """Properties that a table is created with."""
    # Both engines keep it; their defaults differ.
    properties = {"delta.checkpointInterval": "10"}
    if name in MERGED:
        properties["delta.enableDeletionVectors"] = "true"
    if name in STATISTICS:
        properties["delta.dataSkippingStatsColumns"] = STATISTICS[name]
    return properties
