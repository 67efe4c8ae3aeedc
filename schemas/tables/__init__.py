"""Every declared table by its name."""

from schemas.table import Table
from schemas.tables.bronze import BRONZE
from schemas.tables.features import FEATURES
from schemas.tables.gold import GOLD
from schemas.tables.operations import OPERATIONS
from schemas.tables.records import LANDED_FILES, RECORDS
from schemas.tables.records_silver import RECORD_BUILDS, RECORDS_SILVER
from schemas.tables.restricted import RESTRICTED
from schemas.tables.silver import SILVER

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *BRONZE, *RECORDS.values(), LANDED_FILES, RECORD_BUILDS, *SILVER, *RECORDS_SILVER,
        *GOLD, *FEATURES, *OPERATIONS, *RESTRICTED,
    )
}  # fmt: skip
