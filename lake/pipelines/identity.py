"""A lake's pseudonyms and sessions are comparable only under one key, tenant and gap."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.pipelines.build import Lake

IDENTITY_FILE = "tables/identity.json"


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
    current = identity(lake)
    if not lake.store.exists(IDENTITY_FILE):
        lake.store.put(IDENTITY_FILE, json.dumps(current, indent=2).encode())
        return
    kept = json.loads(lake.store.get(IDENTITY_FILE))
    if differing := [name for name in current if kept.get(name) != current[name]]:
        names = ", ".join(f"LMSLAKE_{name.upper()}" for name in differing)
        raise LakeError(
            f"This lake was built with another {names}: its pseudonyms or sessions would not "
            "compare with new ones.\n"
            "  Use the settings that it was built with, or another LMSLAKE_ROOT."
        )
