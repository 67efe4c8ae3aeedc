"""Metrics of one event."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.metrics import (
    interval_spans,
    page_dwell_seconds,
    union_ms,
    video_watch_pct,
    whole,
)
from tests.transforms.frames import METADATA_TYPE, each, metadata

Pairs = list[list[float | None] | None] | None

UNIONS: list[tuple[Pairs, int | None]] = [
    (None, None),
    ([], 0),
    ([[0, 10]], 10_000),
    ([[0, 10], [10, 20]], 20_000),
    ([[10, 20], [0, 10]], 20_000),
    ([[0, 10], [5, 8]], 10_000),
    ([[5, 8], [0, 10], [9, 12]], 12_000),
    ([[0, 10], [0, 10], [0, 10]], 10_000),
    ([[0, 1], [3, 4]], 2_000),
    ([[10, 0]], 0),
    ([[3, 3]], 0),
    ([[0, 1, 2], [5], [], [7, 8]], 1_000),
    ([None, [None, 4], [4, None], [0, 1]], 1_000),
    ([[0, 0.0004]], 0),
    ([[0, 0.0006]], 1),
    ([[-5, 5]], 10_000),
    ([[0, 42.608], [43.168, 124.692]], 124_132),
]


def test_union_ms__of_watched_intervals(spark: SparkSession) -> None:
    found = each(
        spark,
        "spans array<array<double>>",
        [(_floats(pairs),) for pairs, _ in UNIONS],
        union_ms(interval_spans(F.col("spans"))),
    )
    wrong = [(c, f) for (c, w), f in zip(UNIONS, found, strict=True) if f != w]
    assert wrong == []


def _floats(pairs: Pairs) -> Any:
    if pairs is None:
        return None
    return [p if p is None else [n if n is None else float(n) for n in p] for p in pairs]


def test_whole__rounds_halves_up(spark: SparkSession) -> None:
    cases = [(None,), (0.0,), (0.0005,), (0.0004999,), (1.0015,), (-0.0005,), (31_622_400.0,)]
    found = each(spark, "v double", cases, whole(F.col("v"), 1_000))
    assert found[:4] == [None, 0, 1, 0]
    assert found[5:] == [0, 31_622_400_000]


def test_page_dwell_seconds__gap_else_duration_up_to_the_gap(spark: SparkSession) -> None:
    cases = [
        (("page_view", 12.5, 3.0), 12.5),
        (("page_view", 0.0, 3.0), 0.0),
        (("page_view", None, 3.0), 3.0),
        (("page_view", None, 1_800.0), 1_800.0),
        (("page_view", None, 9_999.0), 1_800.0),
        (("page_view", None, 0.0), 0.0),
        (("page_view", None, None), None),
        (("video_play", 12.5, 3.0), None),
    ]
    found = each(
        spark,
        f"event_type string, gap_after_seconds double, metadata {METADATA_TYPE}",
        [(kind, gap, metadata(duration=length)) for (kind, gap, length), _ in cases],
        page_dwell_seconds(timedelta(minutes=30)),
    )
    assert found == [wanted for _, wanted in cases]


def test_video_watch_pct__positions_before_seconds_and_at_most_one(spark: SparkSession) -> None:
    ten = [[0.0, 10.0]]
    cases: list[tuple[str, dict[str, Any], float | None]] = [
        ("video_play", {"video_length": 40.0, "intervals": ten}, 0.25),
        ("video_play", {"video_length": 40.0, "intervals": ten, "watched_seconds": 40.0}, 0.25),
        ("video_play", {"video_length": 40.0, "intervals": [], "watched_seconds": 40.0}, 0.0),
        ("video_play", {"video_length": 40.0, "watched_seconds": 30.0}, 0.75),
        ("video_play", {"video_length": 40.0, "watched_seconds": 90.0}, 1.0),
        ("video_play", {"video_length": 40.0}, None),
        ("video_play", {"video_length": 0.0, "watched_seconds": 1.0}, None),
        ("video_play", {"video_length": 0.0001, "watched_seconds": 1.0}, None),
        ("video_play", {"watched_seconds": 1.0}, None),
        ("page_view", {"video_length": 40.0, "watched_seconds": 30.0}, None),
    ]
    found = each(
        spark,
        f"event_type string, metadata {METADATA_TYPE}",
        [(kind, metadata(**given)) for kind, given, _ in cases],
        video_watch_pct(),
    )
    assert found == [wanted for _, _, wanted in cases]
    assert not any(value is not None and math.isnan(value) for value in found)
