"""Law 5: nothing that identifies a student, and no key, gets above bronze."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lake.gates import GateFailed
from lake.pipelines import silver
from lake.pipelines.build import build
from lake.pipelines.event_rows import EVENTS
from lake.pipelines.opened import Lake
from lake.transforms.pseudonymise import hmac_pads
from schemas.table import between
from tests.generators import canonical
from tests.laws.world import ingest
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import FIRST, KEY, event

STUDENT = "IDENTIFIED-0042"
IDENTIFYING = {
    "student": STUDENT,
    "address": "203.0.113.77",
    "IPv6 address": "2001:db8::4242",
    "agent": "RecognisableBrowser",
    "mail": "ana.recognisable@school.example",
    "account": "ana-recognisable",
    "password": "open-sesame",
    "undeclared key": "undeclared_key",
    "undeclared value": "undeclared value",
}
ABOVE_RAW = ("tables/silver", "tables/gold", "tables/features", "tables/bronze/builds",
             "tables/bronze/gate_results", "gates", "tables/identity.json")  # fmt: skip


def identified_lines() -> list[bytes]:
    """Events of every type by a student who shows everywhere that an event has room for it."""
    who = {name: IDENTIFYING[name] for name in ("mail", "account", "password")}
    pages = [
        "https://lms.example/c?mail={mail}",
        "https://lms.example/c#{mail}",
        "https://{account}:{password}@lms.example/c",
        "https://{account}%40school.example:{password}@lms.example/c",
        "//{account}@lms.example/c",
        "mailto:{mail}",
    ]
    bodies = [
        event(n, FIRST.replace(minute=n), STUDENT, "page_view", page_url=page.format(**who),
              metadata={"user_agent": f"{IDENTIFYING['agent']}/1.0 (iPad)",
                        "ip": IDENTIFYING["IPv6 address" if n % 2 else "address"],
                        IDENTIFYING["undeclared key"]: IDENTIFYING["undeclared value"]})
        for n, page in enumerate(pages)
    ]  # fmt: skip
    for n, kind in enumerate(("quiz_attempt", "video_play", "submit_assignment"), len(pages)):
        metadata = {"duration": 1.0, "profile": {"name": STUDENT, "mail": who["mail"]}}
        bodies.append(event(n, FIRST.replace(minute=n), STUDENT, kind, metadata=metadata))
    bodies[6]["question_id"] = "x1"
    # one that loses against another body goes to silver.quarantine
    return [canonical(body) for body in (*bodies, {**bodies[0], "student_id": STUDENT + "b"})]


def secrets() -> dict[str, bytes]:
    """The key and its pads, plain, in hex and in base64; their beginnings are enough."""
    found: dict[str, bytes] = {"key": KEY.encode()}
    for name, secret in zip(
        ("key", "inner", "outer"), (KEY.encode(), *hmac_pads(KEY.encode(), "default")), strict=True
    ):
        found[f"{name} in hex"] = secret.hex()[:24].encode()
        found[f"{name} in base64"] = base64.b64encode(secret)[:24]
    return found


def texts(path: Path) -> Iterator[bytes]:
    """A file as it is, and what its rows say where it is Parquet."""
    yield path.read_bytes()
    if path.name.endswith(".parquet"):
        yield repr(pq.ParquetFile(path).read().to_pylist()).encode()


@pytest.fixture(scope="module")
def lake(opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a build that a gate stopped (with a sample of rows), and one that went on."""
    folder = tmp_path_factory.mktemp("privacy")
    lake = opened(folder / "lake")
    ingest(lake, folder / "files", identified_lines())
    strict = replace(EVENTS, checks=(between("gap_before_seconds", maximum=1.0),))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(silver, "EVENTS", strict)
        with pytest.raises(GateFailed):
            build(lake)
    build(lake)
    return lake


def test_build__nothing_identifying_above_raw(lake: Lake) -> None:
    root = Path(lake.settings.root)
    below = [path for name in ABOVE_RAW for path in [root / name, *(root / name).rglob("*")]]
    files = [path for path in below if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".parquet", ".json", ".html"} <= kinds
    assert any("samples" in path.parts for path in files)
    looked_for = {**{k: v.encode() for k, v in IDENTIFYING.items()}, **secrets()}
    every = re.compile(b"|".join(re.escape(text) for text in looked_for.values()), re.IGNORECASE)
    leaks = {
        (str(path.relative_to(root)), match[0])
        for path in files
        for text in texts(path)
        for match in every.finditer(text)
    }
    assert not leaks
    assert len(lake.tables.read("silver.quarantine").collect()) == 1
    # the search would find it: raw keeps what came
    raw = b"".join(line for line in identified_lines())
    assert all(text.encode() in raw for text in IDENTIFYING.values())


def test_received_events__the_plan_shows_no_key(lake: Lake) -> None:
    from lake.pipelines.pending import raw_objects

    events = silver.received_events(lake, raw_objects(lake.ledger, None))
    events.collect()
    plan = events._jdf.queryExecution()
    shown = (plan.toString() + plan.stringWithStats()).encode()
    assert b"sha2" in shown
    assert not [name for name, secret in secrets().items() if secret[:12].lower() in shown.lower()]
