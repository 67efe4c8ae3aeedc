"""Law 2 after the chaos: are the streamed tables those of one build of the same raw objects?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake.query import connect
from lake.storage import open_store
from schemas.tables import TABLES
from schemas.tables.bronze import RAW_OBJECTS
from tests.laws.comparing_lakes import compared_tables
from tests.laws.world import TABLE_NAMES, law_2_columns

if TYPE_CHECKING:
    from lake.settings import Settings
    from tests.chaos.harness import Platform

# What a second lake is built from; the rest follows.
RAW = ("events", RAW_OBJECTS.path)


def rebuilt_faults(running: Platform, streamed: Settings, rebuilt: Settings) -> list[str]:
    """Copy raw zone and ledger to an empty lake, build it, and compare all tables row for row."""
    source, target = open_store(streamed), open_store(rebuilt)
    for folder in RAW:
        for key in source.list(folder):
            target.put(key, source.get(key))
    code, output = running.lmslake("build", root=rebuilt.root)
    if code:
        return [f"lmslake build of a second lake ended with {code}:\n{output}"]
    running.tell("a second lake is built")
    faults = []
    with connect(rebuilt) as connection:
        for name in TABLE_NAMES:
            table = TABLES[name]
            found = f"delta_scan('{source.delta_uri(table.path)}')"
            result = compared_tables(connection, name, found, law_2_columns(name), table.keys)
            running.tell(f"{name}: {result.found:,} rows")
            if not result.is_equal:
                faults.append(
                    f"{name}: {result.missing:,} rows are missing, {result.surplus:,} too many: "
                    f"{result.example}"
                )
    return faults
