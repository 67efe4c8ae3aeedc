"""A lake with a landing zone, as tests fill and land it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from lake.landing.landing import Outcome
from lake.landing.reading import Limits
from lake.landing.watching import LandingPlace, land_once
from lake.landing.zone import LocalZone, Zone
from lake.storage import ObjectStore
from lake.storage_local import LocalStore


def place_of(store: ObjectStore, zone: Zone) -> LandingPlace:
    return LandingPlace(zone, store, Limits(), timedelta(minutes=2))


def landed(place: LandingPlace) -> list[Outcome]:
    """Take what lies in the zone; gives what became of each file, by name."""
    outcomes: list[Outcome] = []
    land_once(place, 0.0, outcomes.append, lambda _: None)
    return sorted(outcomes, key=lambda outcome: outcome.name)


class School:
    """A local lake and its zone."""

    def __init__(self, root: Path) -> None:
        self.store = LocalStore(root)
        self.folder = root / "landing"
        self.folder.mkdir(exist_ok=True)
        self.place = place_of(self.store, LocalZone(self.folder))

    def put(self, key: str, body: bytes | str) -> Path:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        return path

    def land(self) -> list[Outcome]:
        return landed(self.place)

    def files(self, pattern: str = "**/*") -> list[str]:
        """Files of the zone, with * for the day on which they were processed."""
        found = (path for path in self.folder.glob(pattern) if path.is_file())
        return sorted(_without_date(path.relative_to(self.folder).parts) for path in found)


def _without_date(parts: Sequence[str]) -> str:
    return "/".join(("processed", "*", *parts[2:]) if parts[0] == "processed" else parts)
