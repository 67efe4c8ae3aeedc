"""What a record says is the same text in Spark as in Python."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType, _parse_datatype_string

from lake.pipelines.records.digest import canonical
from lake.school.versions import _canonical

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake.school.life import Value


def texts(spark: SparkSession, kind: str, values: list[Value]) -> list[str | None]:
    type_ = _parse_datatype_string(kind)
    schema = StructType([StructField("value", type_)])
    rows = spark.createDataFrame([(value,) for value in values], schema)
    return [row[0] for row in rows.select(canonical(F.col("value"), type_)).collect()]


def test_canonical__is_that_of_python(spark: SparkSession) -> None:
    rng = random.Random(5)
    numbers = [0.0, 100.0, 87.5, 0.0005, 0.1 + 0.2, 1234567.891, 29 / 100, 1e15, 1e7]
    numbers += [5e-5, 2.5e-7, 1e16, 2.5e20, 1e-4]
    numbers += [rng.random() * 10 ** rng.randint(-3, 6) for _ in range(50)]
    cases: dict[str, list[Value]] = {
        "double": list(numbers),
        "int": [0, 13],
        "string": ["Algebra I", "São Paulo"],
        "boolean": [True, False],
        "date": [date(1900, 1, 1), date(2025, 9, 30)],
        "timestamp": [datetime(2025, 9, 1, 8, 0, 0, 7, tzinfo=UTC)],
    }
    for kind, values in cases.items():
        assert texts(spark, kind, values) == [_canonical(value) for value in values], kind
