"""Every declared table by its name; those of events, and those of school records."""

from schemas.table import Table
from schemas.tables.bronze import BRONZE
from schemas.tables.features import FEATURES
from schemas.tables.gold import GOLD
from schemas.tables.operations import OPERATIONS
from schemas.tables.records import LANDED_FILES, RECORDS
from schemas.tables.records_gold import RECORDS_GOLD
from schemas.tables.records_silver import RECORD_BUILDS, RECORDS_SILVER
from schemas.tables.restricted import RESTRICTED
from schemas.tables.silver import SILVER
from schemas.tables.student_360 import STUDENT_360
from schemas.tables.tickets import TICKET_LABELS

EVENT_TABLES: dict[str, Table] = {
    table.name: table for table in (*BRONZE, *SILVER, *GOLD, *FEATURES, *OPERATIONS)
}
RECORD_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *RECORDS.values(), LANDED_FILES, RECORD_BUILDS, *RECORDS_SILVER, TICKET_LABELS,
        *RECORDS_GOLD, STUDENT_360, *RESTRICTED,
    )
}  # fmt: skip
TABLES: dict[str, Table] = {**EVENT_TABLES, **RECORD_TABLES}
