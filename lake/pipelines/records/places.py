"""Where rows of records are set aside, and what leads back to bronze. Needs no Spark session."""

POINTER = ("_content_hash", "_row")
PARENTS = ("students", "course_catalog")
HELD = "silver.records_held"
QUARANTINE = "silver.records_quarantine"
CONFLICTING = "conflicting_version"
