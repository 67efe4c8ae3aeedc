"""A lake's pseudonyms and sessions are comparable only under one key, tenant and gap."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.pipelines.build import Lake
    from lake.storage import ObjectStore
    from lake.transforms.records.conventions import Conventions

IDENTITY_FILE = "tables/identity.json"
STUDENT_IDS_FILE = "tables/student_ids.json"


def identity(lake: Lake) -> dict[str, str | int]:
    """What must not change while a lake lives; the key is present as a fingerprint only."""
    fingerprint = hmac.new(lake.key, b"lmslake key fingerprint", hashlib.sha256)
    return {
        "tenant": lake.settings.tenant,
        "pseudonym_key_version": lake.settings.pseudonym_key_version,
        "pseudonym_key": fingerprint.hexdigest()[:16],
        "session_gap_minutes": lake.settings.session_gap_minutes,
    }


def check_identity(lake: Lake) -> None:
    """Keep the lake's identity on first use; raises LakeError where it differs later."""
    _keep_or_compare(
        lake.store,
        IDENTITY_FILE,
        identity(lake),
        "its pseudonyms or sessions would not compare with new ones",
    )


def check_student_ids(store: ObjectStore, school: Conventions) -> None:
    """Keep how records write ids of students on first use; raises LakeError where it differs later.

    Pseudonyms follow from the form of the ids.
    """
    current: dict[str, str | int] = {
        "student_id_prefix": school.student_prefix or "any",
        "student_id_width": school.student_width,
    }
    _keep_or_compare(
        store,
        STUDENT_IDS_FILE,
        current,
        "the students of its records would get other pseudonyms",
    )


def _keep_or_compare(
    store: ObjectStore, file: str, current: dict[str, str | int], because: str
) -> None:
    if not store.exists(file):
        store.put(file, json.dumps(current, indent=2).encode())
        return
    kept = json.loads(store.get(file))
    if differing := [name for name in current if kept.get(name) != current[name]]:
        names = ", ".join(f"LMSLAKE_{name.upper()}" for name in differing)
        raise LakeError(
            f"This lake was built with another {names}: {because}.\n"
            "  Use the settings that it was built with, or another LMSLAKE_ROOT."
        )
