"""From a raw line to one clean event."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?"
)


@dataclass(frozen=True)
class Rules:
    """What a lake is set to: the pseudonym's key and tenant, and the session gap."""

    key: bytes
    tenant: str = "default"
    gap: timedelta = timedelta(minutes=30)

    @property
    def gap_us(self) -> int:
        return self.gap // MICROSECOND


@dataclass(frozen=True)
class Event:
    """One body of one event. `us` is the event time in microseconds since 1970, UTC."""

    event_id: str
    student_hash: str
    event_type: str
    us: int
    tz_assumed: bool
    course_id: str | None
    chapter_id: str | None
    question_id: str | None
    quiz_id: str | None
    page_url: str | None
    device: str
    body_hash: str
    metadata: dict[str, Any] = field(hash=False, compare=False)

    @property
    def ts(self) -> datetime:
        return instant(self.us)

    @property
    def date(self) -> date:
        return self.ts.date()


def instant(us: int) -> datetime:
    return EPOCH + us * MICROSECOND


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - EPOCH.date()).days


def midnight_after(day: date) -> int:
    """The first microsecond of the next UTC day."""
    return (day_number(day) + 1) * DAY_US


def pseudonym(student_id: str, rules: Rules) -> str:
    message = rules.tenant.encode() + b"\x1f" + student_id.encode()
    return hmac.new(rules.key, message, hashlib.sha256).hexdigest()


def body_hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def read_timestamp(text: str) -> tuple[int, bool]:
    """Microseconds since 1970 (finer fractions are cut), and whether UTC had to be assumed."""
    match = RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not a timestamp: {text!r}")
    *parts, fraction, offset = match.groups()
    local = datetime(*(int(part) for part in parts), tzinfo=UTC)  # type: ignore[misc,arg-type]
    us = (local - EPOCH) // MICROSECOND + int(((fraction or "") + "000000")[:6])
    if offset is None or offset in "Zz":
        return us, offset is None
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return us - (minutes if offset[0] == "+" else -minutes) * 60_000_000, False


def read_page_url(text: str | None) -> str | None:
    """The page alone: without what follows `?` or `#`, and without `user:password@`."""
    if text is None:
        return None
    page = re.split(r"[?#]", text, maxsplit=1)[0]
    scheme, slashes, rest = page.partition("//")
    if not slashes:
        return page
    host, slash, path = rest.partition("/")
    return scheme + slashes + host.rpartition("@")[2] + slash + path


def read_device(user_agent: str | None) -> str:
    """desktop, mobile, tablet, bot or unknown."""
    agent = (user_agent or "").lower()

    def says(*words: str) -> bool:
        return any(word in agent for word in words)

    if says("bot", "crawler", "spider"):
        return "bot"
    if says("ipad", "tablet") or (says("android") and not says("mobile")):
        return "tablet"
    if says("iphone", "ipod", "mobile", "android"):
        return "mobile"
    if says("windows", "macintosh", "x11", "linux", "cros"):
        return "desktop"
    return "unknown"


def is_mobile(device: str) -> bool:
    return device in ("mobile", "tablet")


def whole(value: float | None, parts: int) -> int | None:
    """`value` in whole parts (1000: milliseconds of seconds), halves up. Null stays null."""
    if value is None:
        return None
    exact = Decimal(repr(float(value))) * parts
    return int(exact.to_integral_value(rounding=ROUND_HALF_UP))


def read_event(line: bytes, rules: Rules) -> Event:
    """The event of one canonical line."""
    body = json.loads(line)
    metadata = body.get("metadata") or {}
    us, tz_assumed = read_timestamp(body["timestamp"])
    return Event(
        event_id=body["event_id"],
        student_hash=pseudonym(body["student_id"], rules),
        event_type=body["event_type"],
        us=us,
        tz_assumed=tz_assumed,
        # An empty name names nothing.
        course_id=body.get("course_id") or None,
        chapter_id=body.get("chapter_id") or None,
        question_id=body.get("question_id") or None,
        quiz_id=metadata.get("quiz_id") or None,
        page_url=read_page_url(body.get("page_url")),
        device=read_device(metadata.get("user_agent")),
        body_hash=body_hash(line),
        metadata=metadata,
    )


def read_events(
    lines: Iterable[bytes], rules: Rules
) -> tuple[list[Event], list[tuple[Event, str]]]:
    """The events of a set of lines: who stays, and who lost (with the winner's body hash).

    Lines that are the same bytes are one body. Bodies with the same (date, event_id) are one
    event: the smallest (ts, body hash) stays.
    """
    bodies: dict[tuple[date, str], list[Event]] = {}
    for line in set(lines):
        event = read_event(line, rules)
        bodies.setdefault((event.date, event.event_id), []).append(event)
    kept: list[Event] = []
    lost: list[tuple[Event, str]] = []
    for rivals in bodies.values():
        winner, *others = sorted(rivals, key=lambda e: (e.us, e.body_hash))
        kept.append(winner)
        lost.extend((other, winner.body_hash) for other in others)
    return kept, lost
