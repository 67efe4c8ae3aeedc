"""A lake's pseudonyms and sessions are comparable only under one key, tenant and gap."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake
    from lake.storage import ObjectStore
    from lake.transforms.records.conventions import Conventions
    from lake.transforms.records.risk import RiskRules

IDENTITY_FILE = "tables/identity.json"
STUDENT_IDS_FILE = "tables/student_ids.json"
CONVENTIONS_FILE = "tables/conventions.json"
RISK_RULES_FILE = "tables/risk_rules.json"


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


def other_conventions(store: ObjectStore, school: Conventions) -> list[str]:
    """Keep under which conventions rows are cleaned; of which settings there were others before.

    Nothing tells which rows were cleaned under which: once there were two, there are until records
    are derived anew.
    """
    current: dict[str, Any] = {
        "date_order": school.date_order,
        "phone_region": school.phone_region,
        "presence_words": dict(school.presence_words),
        "locations": dict(school.locations),
    }
    kept: list[dict[str, Any]] = _kept(store, CONVENTIONS_FILE) or []
    if current not in kept:
        store.put(CONVENTIONS_FILE, json.dumps([*kept, current], indent=2).encode())
    others = [name for name in current if any(was.get(name) != current[name] for was in kept)]
    return [f"LMSLAKE_{name.upper()}" for name in others]


def known_conventions(store: ObjectStore, school: Conventions) -> list[Conventions]:
    """Those of the settings, then all others under which rows of this lake were cleaned."""
    kept: list[dict[str, Any]] = _kept(store, CONVENTIONS_FILE) or []
    others = (replace(school, **was) for was in kept)
    return [school, *(other for other in others if other != school)]


def has_other_rules(store: ObjectStore, rules: RiskRules) -> bool:
    """Whether students were judged by other rules of risk; False where nobody was."""
    kept = _kept(store, RISK_RULES_FILE)
    return kept is not None and kept != asdict(rules)


def keep_rules(store: ObjectStore, rules: RiskRules) -> None:
    """Keep by which rules all students are judged."""
    if _kept(store, RISK_RULES_FILE) != asdict(rules):
        store.put(RISK_RULES_FILE, json.dumps(asdict(rules), indent=2).encode())


def _kept(store: ObjectStore, file: str) -> Any:
    return json.loads(store.get(file)) if store.exists(file) else None


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
