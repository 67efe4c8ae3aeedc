"""Device, country and titles."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

MOBILE_DEVICES = ("mobile", "tablet")


def _has_any(text: Column, words: tuple[str, ...]) -> Column:
    return reduce(lambda left, right: left | right, (F.contains(text, F.lit(w)) for w in words))


def device_type(agent: Column) -> Column:
    """desktop, mobile, tablet, bot or unknown of a user agent in lower case.

    An Android that is not mobile is a tablet.
    """
    is_android = F.contains(agent, F.lit("android"))
    is_mobile_android = is_android & F.contains(agent, F.lit("mobile"))
    return (
        F.when(agent.isNull() | (agent == ""), "unknown")
        .when(_has_any(agent, ("bot", "crawler", "spider")), "bot")
        .when(_has_any(agent, ("ipad", "tablet")) | (is_android & ~is_mobile_android), "tablet")
        .when(_has_any(agent, ("iphone", "ipod", "mobile", "android")), "mobile")
        .when(_has_any(agent, ("windows", "macintosh", "x11", "linux", "cros")), "desktop")
        .otherwise("unknown")
    )


def is_mobile(device: Column) -> Column:
    return device.isin(*MOBILE_DEVICES)


def enrich_events(events: DataFrame) -> DataFrame:
    """Add device_type, is_mobile and ip_geo; drop user_agent and ip, which must not go further."""
    # Lower case once: inside the conditions it would be made again for each word.
    located = events.withColumn("user_agent", F.lower("user_agent")).withColumns(
        {
            "device_type": device_type(F.col("user_agent")),
            "ip_geo": F.call_function("ip_country", F.col("ip")),
        }
    )
    return located.withColumn("is_mobile", is_mobile(F.col("device_type"))).drop("user_agent", "ip")
