"""Schemas that are derived from declarations, alone and as Spark and Delta see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from schemas.derivations import (
    ArrayType,
    RecordType,
    ScalarType,
    arrow_schema,
    ddl,
    parse_type,
    struct_type,
)
from schemas.expectations import describe, expectations, named_checks
from schemas.table import Check, Column, Table, between, in_set, matches, ordered
from schemas.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUOTED = Table(
    name="gold.quoted",
    doc="It's a \\ table.",
    grain="one row",
    columns=(
        Column("date", "date", "UTC day; 'quoted' and back\\slashed."),
        Column("note", "string", "Line\nbreak.", "never said"),
    ),
    keys=("date",),
    partition_by="date",
    checks=(between("date", 0), between("date", 0, 9, severity="warn")),
)


def test_parse_type__reads_nested_types() -> None:
    parsed = parse_type("struct<a: array<array<double>>, b: int>")
    doubles = ArrayType(ArrayType(ScalarType("double")))
    assert parsed == RecordType((("a", doubles), ("b", ScalarType("int"))))


@pytest.mark.parametrize(
    "text", ["", "text", "array<>", "array<int", "struct<a int>", "struct<a: int", "int int"]
)
def test_parse_type__refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match="type "):
        parse_type(text)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_struct_type__has_the_declared_names_types_null_rules_and_comments(table: Table) -> None:
    fields = struct_type(table).fields
    assert [f.name for f in fields] == list(table.column_names)
    assert [f.dataType.simpleString() for f in fields] == [
        column.type.replace(": ", ":").replace(", ", ",") for column in table.columns
    ]
    assert [f.nullable for f in fields] == [column.nullable for column in table.columns]
    assert [f.metadata["comment"] for f in fields] == [column.doc for column in table.columns]


def test_arrow_schema__keeps_utc_microseconds_and_null_rules() -> None:
    schema = arrow_schema(TABLES["silver.events"])
    assert schema.field("ts").type == pa.timestamp("us", tz="UTC")
    assert not schema.field("ts").nullable
    assert schema.field("course_id").nullable
    intervals = schema.field("metadata").type.field("intervals").type
    assert intervals == pa.list_(pa.list_(pa.float64()))


@pytest.mark.parametrize("table", [*TABLES.values(), QUOTED], ids=lambda table: table.name)
def test_ddl__is_read_by_spark_as_declared(
    spark: SparkSession, lake_root: Path, table: Table
) -> None:
    """Spark's parser returns the declared columns; no table is created, that takes seconds."""
    from pyspark.sql.types import StructType

    statement = ddl(table, location=str(lake_root / table.path))
    columns = statement.split("(\n", 1)[1].split("\n)\nUSING DELTA", 1)[0]
    parsed = StructType.fromDDL(columns)
    assert isinstance(parsed, StructType)
    assert parsed == struct_type(table)
    assert [f.metadata for f in parsed] == [{"comment": c.doc} for c in table.columns]


def test_ddl__creates_the_delta_table(spark: SparkSession, lake_root: Path) -> None:
    spark.sql("CREATE DATABASE IF NOT EXISTS gold")
    spark.sql(ddl(QUOTED, location=str(lake_root / QUOTED.path)))
    try:
        created = spark.table("gold.quoted")
        assert [f.metadata["comment"] for f in created.schema] == [c.doc for c in QUOTED.columns]
        assert [f.nullable for f in created.schema] == [False, True]
        detail = spark.sql("DESCRIBE DETAIL gold.quoted").first()
        assert detail is not None
        assert (detail["description"], detail["partitionColumns"]) == (QUOTED.doc, ["date"])
    finally:
        spark.sql("DROP TABLE gold.quoted")


def test_named_checks__tell_two_checks_of_one_name_apart() -> None:
    names = list(named_checks(QUOTED))
    assert names == ["not_null(date)", "between(date)", "between(date) #2", "unique(date)"]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_expectations__are_the_declared_checks(table: Table) -> None:
    wanted = expectations(table)
    assert len({w.name for w in wanted}) == len(wanted) == len(table.all_checks)
    assert [w.columns for w in wanted] == [check.columns for check in table.all_checks]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (between("x", 0, 1), "x is from 0 to 1"),
        (between("x", 0, 604_800), "x is from 0 to 604800"),
        (between("x", 0), "x is at least 0"),
        (between("x", maximum=5), "x is at most 5"),
        (in_set("x", ("a", "b")), "x is one of a, b"),
        (matches("x", "^a$"), "x matches ^a$"),
        (ordered("x", "y"), "x is not after y"),
    ],
)
def test_describe__says_what_is_wanted(check: Check, words: str) -> None:
    assert describe(check) == words


def test_schemas__import_nothing_heavy() -> None:
    script = (
        "import sys, schemas.tables, schemas.derivations, schemas.expectations, schemas.dictionary;"
        "sys.exit(bool({'pyspark', 'pyarrow', 'great_expectations', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
