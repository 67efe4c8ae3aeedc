"""Each version's schema as it was when it was released: what producers rely on.

`python -m tests.schemas.released` adds versions that are new. What is there is never changed: the
tests compare today's files with it, so that no edit of theirs can refuse what was once accepted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.events import schemas, shared_definitions

FILE = Path(__file__).with_name("released.json")

# Of a version its schema and the shared definitions that it was released with.
Released = dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]]


def read_released() -> Released:
    """Event type → version → (schema, shared definitions), as released."""
    content = json.loads(FILE.read_text("utf-8"))
    return {
        event_type: {
            version: (entry["schema"], content["common"][entry["common"]])
            for version, entry in versions.items()
        }
        for event_type, versions in content["schemas"].items()
    }


def release() -> list[str]:
    """Add the versions that are not there yet; returns their names."""
    content: dict[str, Any] = {"common": [], "schemas": {}}
    if FILE.exists():
        content = json.loads(FILE.read_text("utf-8"))
    common = shared_definitions()[1]
    added = []
    for event_type, versions in schemas().items():
        known = content["schemas"].setdefault(event_type, {})
        for version, schema in versions.items():
            if version not in known:
                if common not in content["common"]:
                    content["common"].append(common)
                place = content["common"].index(common)
                known[version] = {"common": place, "schema": schema}
                added.append(f"{event_type} {version}")
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return added


if __name__ == "__main__":
    print("\n".join(release()) or "nothing new")
