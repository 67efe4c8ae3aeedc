"""Device, country and titles."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.enrich import device_type, enrich_events, is_mobile
from tests.transforms.frames import dicts, each

AGENTS = [
    (None, "unknown"),
    ("", "unknown"),
    (" ", "unknown"),
    ("curl/8.5", "unknown"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "desktop"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0)", "desktop"),
    ("Mozilla/5.0 (X11; CrOS x86_64 15633.69.0)", "desktop"),
    ("Mozilla/5.0 (Wayland; LINUX x86_64)", "desktop"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", "mobile"),
    ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Mobile Safari", "mobile"),
    ("Mozilla/5.0 (Linux; Android 13; SM-X700)", "tablet"),
    ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Mobile/15E148", "tablet"),
    ("Opera/9.80 (Android; Opera Tablet/36; Mobile)", "tablet"),
    ("Windows Phone 10; Mobile", "mobile"),
    ("Googlebot/2.1 (Linux; Android 6.0.1; Mobile)", "bot"),
    ("Some CRAWLER on Windows", "bot"),
    ("\U0001f600 spider", "bot"),
]


def test_device_type__of_user_agents(spark: SparkSession) -> None:
    cases = [(agent,) for agent, _ in AGENTS]
    found = each(spark, "agent string", cases, device_type(F.lower("agent")))
    assert dict(zip([a for a, _ in AGENTS], found, strict=True)) == dict(AGENTS)


def test_is_mobile__phones_and_tablets(spark: SparkSession) -> None:
    cases = [("mobile",), ("tablet",), ("desktop",), ("bot",), ("unknown",)]
    found = each(spark, "device string", cases, is_mobile(F.col("device")))
    assert found == [True, True, False, False, False]


def test_enrich_events__drops_address_and_agent(spark: SparkSession) -> None:
    rows = [
        (0, "iPad", "8.8.8.8"), (1, None, "10.0.0.1"), (2, "x", "no address"), (3, "", None),
        (4, "x", "lms.example"), (5, "x", "8.8.8.8, 10.0.0.1"),
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, "n int, user_agent string, ip string")
    enriched = enrich_events(frame)
    assert set(enriched.columns) == {"n", "device_type", "is_mobile", "ip_geo"}
    found = dicts(enriched, "n")
    assert [row["ip_geo"] for row in found] == ["US", None, None, None, None, None]
    assert [(r["device_type"], r["is_mobile"]) for r in found[:2]] == [
        ("tablet", True),
        ("unknown", False),
    ]
