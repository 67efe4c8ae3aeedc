"""When files of the landing zone are taken: once they are complete, now or as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from lake.landing.bronze import Bronze
from lake.landing.landing import Landing, Outcome, land_zone_file
from lake.landing.reading import Limits
from lake.landing.zone import LocalZone, Look, Stamp, Zone, ZoneFile
from lake.leases import awaited_lease
from lake.storage import ObjectStore

LEASE = "land"
# So that a file seen at the first look is old enough at the second one.
A_MOMENT = 0.01
# A file that grows wakes the watch up with every block.
SHORTEST_PAUSE = 0.2

Tell = Callable[[str], None]
OnOutcome = Callable[[Outcome], None]
# looking: at the zone, and taking what is there; well: done with it; away: an outage ended it.
State = Literal["looking", "well", "away"]
OnState = Callable[[State], None]


class Settling:
    """Which files have not changed for so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._seen: dict[str, tuple[Stamp, float]] = {}

    def split(self, zone: Zone, files: Sequence[ZoneFile]) -> tuple[list[ZoneFile], list[ZoneFile]]:
        """(complete ones, others that may still be written to) of a look at the zone."""
        now = self._clock()
        seen: dict[str, tuple[Stamp, float]] = {}
        for file in files:
            stamp, since = self._seen.get(file.key, (file.stamp, now))
            seen[file.key] = (stamp, since) if stamp == file.stamp else (file.stamp, now)
        self._seen = seen
        complete = [
            file
            for file in files
            if zone.is_whole or file.is_marked or now - seen[file.key][1] >= self.seconds
        ]
        taken = {file.key for file in complete}
        return complete, [file for file in files if file.key not in taken]


@dataclass(frozen=True, slots=True)
class LandingPlace:
    """A zone, the lake that its files go to, and how long another landing is waited for."""

    zone: Zone
    store: ObjectStore
    limits: Limits
    patience: timedelta

    def take(
        self,
        files: Sequence[ZoneFile],
        on_outcome: OnOutcome,
        tell: Tell,
        stopping: threading.Event | None = None,
    ) -> None:
        """Land the files in the order of their names, up to the one during which `stopping` is set.

        Those that another process landed while it was waited for are left out. Raises LakeError.
        """
        with awaited_lease(self.store, LEASE, self.patience, tell) as lease:
            landing = Landing(Bronze(self.store), lease, self.limits)
            there = {(file.key, file.stamp) for file in self.zone.look().files}
            for file in files:
                if stopping is not None and stopping.is_set():
                    return
                if (file.key, file.stamp) in there:
                    on_outcome(land_zone_file(landing, self.zone, file))


def land_once(
    place: LandingPlace, settle_seconds: float, on_outcome: OnOutcome, tell: Tell
) -> tuple[list[ZoneFile], Look]:
    """Take what is complete now or after `settle_seconds`.

    Gives the files that are still being written, and the last look at the zone.
    """
    settling = Settling(settle_seconds)
    look = place.zone.look()
    complete, others = settling.split(place.zone, look.files)
    if others:
        time.sleep(settle_seconds + A_MOMENT)
        look = place.zone.look()
        complete, others = settling.split(place.zone, look.files)
    if complete:
        place.take(complete, on_outcome, tell)
    return others, look


class Watch:
    """Takes files as they come, until it is stopped."""

    def __init__(self, place: LandingPlace, settle_seconds: float, poll_seconds: float) -> None:
        self._place = place
        self._settling = Settling(settle_seconds)
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        # Files that could not be taken: said once, and tried again once they change.
        self._refused: dict[str, Stamp] = {}

    def stop(self) -> None:
        """End after the current file."""
        self._stopping.set()
        self._wake.set()

    def run(
        self,
        on_outcome: OnOutcome,
        tell: Tell,
        is_outage: Callable[[Exception], bool],
        on_state: OnState = lambda _: None,
    ) -> None:
        """Look, take, wait, again. What `is_outage` knows is told and tried again."""
        with self._woken():
            while not self._stopping.is_set():
                self._wake.clear()
                on_state("looking")
                try:
                    is_waiting = self._look_and_take(on_outcome, tell)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    said = (str(error) or type(error).__name__).splitlines()[0]
                    on_state("away")
                    tell(f"{said}; trying again in {self._poll_seconds:g} s")
                    self._stopping.wait(self._poll_seconds)
                    continue
                on_state("well")
                settled = self._settling.seconds + A_MOMENT
                if not self._stopping.wait(SHORTEST_PAUSE):
                    self._wake.wait(settled if is_waiting else self._poll_seconds)

    def _look_and_take(self, on_outcome: OnOutcome, tell: Tell) -> bool:
        """Whether files are there that may still be written to."""
        files = self._place.zone.look().files
        complete, others = self._settling.split(self._place.zone, files)
        new = [file for file in complete if self._refused.get(file.key) != file.stamp]
        if new:
            stamps = {file.key: file.stamp for file in new}

            def note(outcome: Outcome) -> None:
                if outcome.is_trouble:
                    self._refused[outcome.name] = stamps[outcome.name]
                on_outcome(outcome)

            self._place.take(new, note, tell, self._stopping)
        return bool(others)

    @contextmanager
    def _woken(self) -> Iterator[None]:
        """Meanwhile what happens in a local zone wakes the watch up; a bucket is only listed."""
        if isinstance(self._place.zone, LocalZone):
            from lake.landing.waking import woken

            with woken(self._wake, self._place.zone.folder):
                yield
        else:
            yield
