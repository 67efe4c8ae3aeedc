"""One row per session from its events."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.transforms.enrich import is_mobile
from lake.transforms.sessionise import MICROS, session_id

KNOWN_DEVICES = ("desktop", "mobile", "tablet", "bot")


def sessions_of(events: DataFrame) -> DataFrame:
    """silver.sessions of complete sessions.

    In: student_hash, session_start, ts, device_type (silver.events). Out: silver.sessions.
    The device is that of the earliest event whose device is known; at the same microsecond the
    first of KNOWN_DEVICES. It is packed beside the time into one long, because a hash aggregate
    needs buffers of fixed width.
    """
    codes = F.array_position(F.array(*map(F.lit, KNOWN_DEVICES)), F.col("device_type"))
    packed = F.when(codes > 0, F.unix_micros("ts") * 8 + codes)
    grouped = events.groupBy("student_hash", "session_start").agg(
        F.max("ts").alias("session_end"),
        F.count(F.lit(1)).alias("events_count"),
        F.min(packed).alias("packed_device"),
    )
    device = F.element_at(
        F.array(*map(F.lit, KNOWN_DEVICES)), F.pmod("packed_device", F.lit(8)).cast("int")
    )
    start_us = F.unix_micros("session_start")
    described = grouped.withColumns(
        {
            "device_type": F.when(F.col("packed_device").isNull(), "unknown").otherwise(device),
            "session_id": session_id(F.col("student_hash"), start_us),
            "date": F.to_date("session_start"),
            "session_duration_seconds": (F.unix_micros("session_end") - start_us) / MICROS,
        }
    )
    return described.select(
        "session_id",
        "student_hash",
        "date",
        "session_start",
        "session_end",
        "session_duration_seconds",
        "events_count",
        "device_type",
        is_mobile(F.col("device_type")).alias("is_mobile"),
    )
