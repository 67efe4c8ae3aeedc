"""Statements of the xAPI video profile as native events of the type video_play."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lake.validation import Event, UnmappedError

PROFILE = "https://w3id.org/xapi/video"
VIDEO_TYPE = "https://w3id.org/xapi/video/activity-type/video"
EXTENSION = "https://w3id.org/xapi/video/extensions/"
SEGMENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\[\.\]([0-9]+(?:\.[0-9]+)?)\s*\Z")
MAX_SECONDS = 31_622_400
POSITIONS = {"time": "position", "time-from": "position_from", "time-to": "position_to"}


def looks_like_statement(record: Any) -> bool:
    """Whether a parsed record is an xAPI statement rather than a native event."""
    return (
        isinstance(record, dict)
        and {"actor", "verb", "object"} <= record.keys()
        and "event_type" not in record
    )


def native_event(statement: Event) -> Event:
    """The statement as a `video_play` event, version 1.1.

    event_id is the statement's id, student_id the actor's account name (or mbox, mbox_sha1sum,
    openid), course_id the parent activity, chapter_id and video_id the object. Watched
    intervals are the complete parts of `played-segments`; the one that is still open has no end
    and is left out. All extensions stay as they are under metadata.xapi. Raises UnmappedError where
    the statement is not one of the video profile.
    """
    target = _part(statement, "object")
    context = _part(statement, "context")
    if not _is_video(target, context):
        raise UnmappedError("not a statement of the xAPI video profile")
    extensions = {
        **_part(context, "extensions"),
        **_part(_part(statement, "result"), "extensions"),
    }
    video = {
        name.removeprefix(EXTENSION): value
        for name, value in extensions.items()
        if name.startswith(EXTENSION)
    }
    event = {
        "event_id": statement.get("id"),
        "student_id": _student(_part(statement, "actor")),
        "event_type": "video_play",
        "schema_version": "1.1",
        "timestamp": statement.get("timestamp", statement.get("stored")),
        "course_id": _course(_part(context, "contextActivities")),
        "chapter_id": target.get("id"),
        "metadata": _metadata(statement, target, video),
    }
    if extensions:
        event["metadata"]["xapi"] = extensions
    return {name: value for name, value in event.items() if value is not None}


def _part(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _is_video(target: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    if _part(target, "definition").get("type") == VIDEO_TYPE:
        return True
    categories = _part(context, "contextActivities").get("category")
    listed = categories if isinstance(categories, list) else [categories]
    return any(isinstance(item, dict) and item.get("id") == PROFILE for item in listed)


def _student(actor: Mapping[str, Any]) -> Any:
    account = _part(actor, "account")
    if "name" in account:
        return account["name"]
    for name in ("mbox", "mbox_sha1sum", "openid"):
        if name in actor:
            return actor[name]
    raise UnmappedError("the actor has no account, mbox, mbox_sha1sum or openid")


def _course(activities: Mapping[str, Any]) -> Any:
    for name in ("parent", "grouping"):
        listed = activities.get(name)
        first = listed[0] if isinstance(listed, list) and listed else listed
        if isinstance(first, dict) and first.get("id") is not None:
            return first["id"]
    return None


def _metadata(
    statement: Event, target: Mapping[str, Any], video: Mapping[str, Any]
) -> dict[str, Any]:
    verb = _part(statement, "verb").get("id")
    metadata = {
        "video_id": target.get("id"),
        "verb": verb.rstrip("/").rsplit("/", 1)[-1] if isinstance(verb, str) else verb,
        "player_session": video.get("session-id"),
        "intervals": _intervals(video.get("played-segments")),
        **{name: _seconds(video.get(key)) for key, name in POSITIONS.items()},
    }
    length = _seconds(video.get("length"))
    if length:  # players send 0 until they know it
        metadata["video_length"] = length
    return {name: value for name, value in metadata.items() if value is not None}


def _seconds(value: Any) -> float | None:
    """A number of seconds that the schema takes; anything else stays in metadata.xapi only."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MAX_SECONDS else None


def _intervals(segments: Any) -> list[list[float]] | None:
    if not isinstance(segments, str):
        return None
    found = (SEGMENT.match(part) for part in segments.split("[,]"))
    return [[float(match[1]), float(match[2])] for match in found if match]
