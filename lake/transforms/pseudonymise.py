"""Student identifiers to pseudonyms, inside Spark: no Python runs per row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

SHA256_BLOCK = 64


def hmac_pads(key: bytes, tenant: str) -> tuple[bytes, bytes]:
    """The two constant prefixes of HMAC-SHA256 (RFC 2104) over tenant || 0x1f || student_id."""
    block = hashlib.sha256(key).digest() if len(key) > SHA256_BLOCK else key
    block = block.ljust(SHA256_BLOCK, b"\0")
    inner = bytes(byte ^ 0x36 for byte in block) + tenant.encode() + b"\x1f"
    return inner, bytes(byte ^ 0x5C for byte in block)


def pseudonym_keys(spark: SparkSession, key: bytes, tenant: str) -> DataFrame:
    """One row (inner_pad, outer_pad).

    The pads enter the plan as a row to join and not as literals: a literal would be printed by
    EXPLAIN, the Spark UI and event logs, and the pads are as good as the key.
    """
    inner, outer = hmac_pads(key, tenant)
    # As Arrow: Spark would start Python workers to read a Python list.
    return spark.createDataFrame(pa.table({"inner_pad": [inner], "outer_pad": [outer]}))


def pseudonym(student_id: Column, inner_pad: Column, outer_pad: Column) -> Column:
    """HMAC-SHA256 of a student identifier, 64 hex digits."""
    inner = F.sha2(F.concat(inner_pad, student_id.cast("binary")), 256)
    return F.sha2(F.concat(outer_pad, F.unhex(inner)), 256)


def pseudonymise_events(
    events: DataFrame, keys: DataFrame, more: Mapping[str, Column] | None = None
) -> DataFrame:
    """Replace student_id by student_hash. In: student_id, …; out: student_hash, …

    more: further columns, each the HMAC of a text, which no student_id may be.
    """
    joined = events.crossJoin(F.broadcast(keys))
    pads = F.col("inner_pad"), F.col("outer_pad")
    texts = {"student_hash": F.col("student_id"), **(more or {})}
    hashed = joined.withColumns({name: pseudonym(text, *pads) for name, text in texts.items()})
    return hashed.drop("student_id", "inner_pad", "outer_pad")
