"""What follows from a table's declaration: Spark schema, Arrow schema and DDL.

Pure functions of `Table`. pyspark and pyarrow are imported where they are needed only, so that
importing `schemas` costs nothing. See also `schemas.expectations` and `schemas.dictionary`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from pyspark.sql.types import DataType, StructType

SCALARS = frozenset({"string", "boolean", "int", "bigint", "double", "date", "timestamp", "binary"})


@dataclass(frozen=True)
class ScalarType:
    """A Spark SQL type without parts."""

    name: str


@dataclass(frozen=True)
class ArrayType:
    """`array<element>`; elements may be null."""

    element: ColumnType


@dataclass(frozen=True)
class RecordType:
    """`struct<name: type, …>`; every field may be null."""

    fields: tuple[tuple[str, ColumnType], ...]


ColumnType = ScalarType | ArrayType | RecordType


def parse_type(text: str) -> ColumnType:
    """The declared type of a column as a tree. Raises ValueError on a type that is not known."""
    tokens: list[str] = re.findall(r"\w+|[^\w\s]", text)
    parsed, rest = _take_type(tokens, text)
    if rest:
        raise ValueError(f"type {text!r}: {' '.join(rest)!r} is left over")
    return parsed


def _take_type(tokens: list[str], text: str) -> tuple[ColumnType, list[str]]:
    match tokens:
        case ["array", "<", *rest]:
            element, rest = _take_type(rest, text)
            return ArrayType(element), _after(">", rest, text)
        case ["struct", "<", *rest]:
            fields: list[tuple[str, ColumnType]] = []
            while True:
                if not rest:
                    raise ValueError(f"type {text!r} ends too early")
                name, rest = rest[0], _after(":", rest[1:], text)
                kind, rest = _take_type(rest, text)
                fields.append((name, kind))
                if rest[:1] != [","]:
                    return RecordType(tuple(fields)), _after(">", rest, text)
                rest = rest[1:]
        case [name, *rest] if name in SCALARS:
            return ScalarType(name), rest
    # An unknown name must not pass as a string: readers would get another type than declared.
    raise ValueError(f"type {text!r}: {tokens[0] if tokens else 'nothing'} is not a known type")


def _after(expected: str, tokens: list[str], text: str) -> list[str]:
    if tokens[:1] != [expected]:
        raise ValueError(f"type {text!r}: {expected!r} is missing")
    return tokens[1:]


def struct_type(table: Table) -> StructType:
    """Spark schema of the table: declared order, nullability from the null rules, comments."""
    from pyspark.sql.types import StructField, StructType

    return StructType(
        [
            StructField(
                column.name,
                _spark_type(parse_type(column.type)),
                column.nullable,
                {"comment": column.doc},
            )
            for column in table.columns
        ]
    )


def _spark_type(kind: ColumnType) -> DataType:
    from pyspark.sql import types as t

    scalars: dict[str, DataType] = {
        "string": t.StringType(),
        "boolean": t.BooleanType(),
        "int": t.IntegerType(),
        "bigint": t.LongType(),
        "double": t.DoubleType(),
        "date": t.DateType(),
        "timestamp": t.TimestampType(),
        "binary": t.BinaryType(),
    }
    match kind:
        case ScalarType(name):
            return scalars[name]
        case ArrayType(element):
            return t.ArrayType(_spark_type(element))
        case RecordType(fields):
            return t.StructType([t.StructField(n, _spark_type(k)) for n, k in fields])


def arrow_schema(table: Table, names: Iterable[str] | None = None) -> pa.Schema:
    """Arrow schema of the table, or of the named columns in their order.

    Timestamps are UTC microseconds, as Delta keeps them.
    """
    import pyarrow as pa

    if names is not None:
        whole = arrow_schema(table)
        return pa.schema([whole.field(name) for name in names])

    return pa.schema(
        [
            pa.field(
                column.name,
                _arrow_type(parse_type(column.type)),
                column.nullable,
                {"comment": column.doc},
            )
            for column in table.columns
        ]
    )


def _arrow_type(kind: ColumnType) -> pa.DataType:
    import pyarrow as pa

    scalars = {
        "string": pa.string(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "binary": pa.binary(),
    }
    match kind:
        case ScalarType(name):
            return scalars[name]
        case ArrayType(element):
            return pa.list_(_arrow_type(element))
        case RecordType(fields):
            return pa.struct([(n, _arrow_type(k)) for n, k in fields])


def ddl(table: Table, location: str | None = None) -> str:
    """`CREATE TABLE` in Spark SQL with a comment per column and table.

    `location` is the table's folder; without it the catalogue decides where the table lies.
    """
    columns = ",\n".join(
        f"  `{column.name}` {column.type.upper() if '<' not in column.type else column.type}"
        f"{'' if column.nullable else ' NOT NULL'} COMMENT {_literal(column.doc)}"
        for column in table.columns
    )
    clauses = [
        f"CREATE TABLE IF NOT EXISTS {table.name} (\n{columns}\n)",
        "USING DELTA",
        *([f"PARTITIONED BY (`{table.partition_by}`)"] if table.partition_by else []),
        *([f"LOCATION {_literal(location)}"] if location else []),
        f"COMMENT {_literal(table.doc)}",
    ]
    return "\n".join(clauses)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
