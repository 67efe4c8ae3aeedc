"""How much of a video was watched. Everything is in whole milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.oracle.reading import Event, whole


def union_ms(intervals: Iterable[list[float]]) -> int:
    """Length of the union; what is not a pair of numbers with from < to does not count."""
    pairs = []
    for interval in intervals:
        if interval is None or len(interval) != 2 or None in interval:
            continue
        start, end = whole(interval[0], 1000), whole(interval[1], 1000)
        if start is not None and end is not None and start < end:
            pairs.append((start, end))
    total, reached = 0, None
    for start, end in sorted(pairs):
        if reached is None or start > reached:
            total += end - start
            reached = end
        elif end > reached:
            total += end - reached
            reached = end
    return total


def length_ms(event: Event) -> int | None:
    """The video's length; null where it is not given or not above 0."""
    length = whole(event.metadata.get("video_length"), 1000)
    return length if length is not None and length > 0 else None


def watch_pct(event: Event) -> float | None:
    """Share of the video that this one event says was watched."""
    length = length_ms(event)
    if event.event_type != "video_play" or length is None:
        return None
    intervals = event.metadata.get("intervals")
    if intervals is not None:
        watched: int | None = union_ms(intervals)
    else:
        watched = whole(event.metadata.get("watched_seconds"), 1000)
    return None if watched is None else min(watched / length, 1.0)


@dataclass(frozen=True)
class Watched:
    """One video of one chapter, as one student watched it on one day."""

    watched_ms: int
    length_ms: int | None


def watched_videos(events: Iterable[Event]) -> list[Watched]:
    """One per (course, chapter, video) of the video plays; a missing video id is a video too."""
    groups: dict[tuple[str | None, str | None, str | None], list[Event]] = {}
    for event in events:
        if event.event_type == "video_play":
            key = event.course_id, event.chapter_id, event.metadata.get("video_id")
            groups.setdefault(key, []).append(event)
    return [_watched(plays) for plays in groups.values()]


def _watched(plays: list[Event]) -> Watched:
    given = [p.metadata["intervals"] for p in plays if p.metadata.get("intervals") is not None]
    if given:
        watched = union_ms(interval for intervals in given for interval in intervals)
    else:
        watched = sum(whole(p.metadata.get("watched_seconds"), 1000) or 0 for p in plays)
    lengths = [length for p in plays if (length := length_ms(p)) is not None]
    return Watched(watched, max(lengths, default=None))


def chapter_watch_pct(events: Iterable[Event]) -> float | None:
    """Share watched of the videos of known length; null where there is none."""
    known = [(v.watched_ms, v.length_ms) for v in watched_videos(events) if v.length_ms]
    if not known:
        return None
    return sum(min(watched, length) for watched, length in known) / sum(n for _, n in known)
