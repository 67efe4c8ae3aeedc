"""A made-up school's messy files: each becomes what is known of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.landing.landing import Outcome
from lake.school import Delivery, write_school
from tests.landing.files import table_rows
from tests.landing.zones import School


@pytest.mark.parametrize("seed", [7, 8])
def test_land__a_made_up_school(lake_root: Path, tmp_path: Path, seed: int) -> None:
    made = write_school(tmp_path / "school", students=30, days=20, seed=seed)
    school = School(lake_root)
    for delivery in made.deliveries:
        school.put(delivery.name, (made.folder / delivery.name).read_bytes())
        (outcome,) = school.land()
        assert _found(outcome) == _expected(delivery), delivery.name
    noted = table_rows(school.store, "bronze.landed_files")
    assert len(noted) == sum(delivery.lands for delivery in made.deliveries)
    for source in {row["source"] for row in noted}:
        rows = table_rows(school.store, f"bronze.{source}")
        assert len(rows) == sum(row["row_count"] for row in noted if row["source"] == source)


def _expected(delivery: Delivery) -> tuple[object, ...]:
    if delivery.fails:
        return "failed", delivery.source, delivery.fails, delivery.line
    if delivery.same_as:
        return "known", delivery.source
    read = delivery.encoding, delivery.delimiter, tuple(delivery.extra_columns)
    return "landed", delivery.source, delivery.rows, delivery.defects, *read


def _found(outcome: Outcome) -> tuple[object, ...]:
    if outcome.fault:
        return outcome.kind, outcome.source, outcome.fault.reason, outcome.fault.line
    if outcome.kind == "known":
        return outcome.kind, outcome.source
    read = outcome.encoding, outcome.delimiter, outcome.extra_columns
    return outcome.kind, outcome.source, outcome.rows, outcome.defects.total(), *read
