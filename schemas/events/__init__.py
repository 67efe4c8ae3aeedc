"""JSON Schemas of the events, one file per type and version, and the rule how they may change.

To add a type: make `<type>/1.0.json`. To change one: add the next version beside the old file;
old files are never edited, because events of that version are still on their way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
BASE_URI = "https://lmslake.example/schemas/events/"
DEFAULT_VERSION = "1.0"

Schema = dict[str, Any]


@cache
def schemas() -> Mapping[str, Mapping[str, Schema]]:
    """Event type → version → schema; versions in ascending order."""
    return {
        folder.name: {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.json"), key=lambda path: version_key(path.stem))
        }
        for folder in sorted(FOLDER.iterdir())
        if folder.is_dir() and any(folder.glob("*.json"))
    }


@cache
def shared_definitions() -> tuple[str, Schema]:
    """URI and content of the file that all schemas refer to."""
    return BASE_URI + "common.json", json.loads((FOLDER / "common.json").read_text("utf-8"))


def version_key(version: str) -> tuple[int, int]:
    """("1.10") → (1, 10), so that 1.10 comes after 1.9."""
    major, _, minor = version.partition(".")
    return int(major), int(minor)
