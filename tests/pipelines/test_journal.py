"""The journal of builds as several processes see it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake.fencing import LockFence
from lake.pipelines.journal import BUILDS, Journal, Touched
from lake.storage import LeaseHeld
from lake.storage_local import LocalStore

TOUCHED = Touched(frozenset({date(2024, 2, 29)}), frozenset({date(2024, 2, 28)}))


def test_journal__sees_what_others_add(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    mine, other = Journal(store), Journal(store)
    assert mine.states() == []
    other.record("b1", "publishing", TOUCHED, ["p1"])
    assert mine.unfinished() == []
    mine.refresh()
    (left,) = mine.unfinished()
    assert (left.build_id, left.touched, set(left.paths)) == ("b1", TOUCHED, {"p1"})
    other.record("b1", "finished", TOUCHED, ["p1"])
    other.record("b2", "held", Touched(), ["p2"], "the gate stopped it")
    mine.refresh()
    assert mine.applied_paths() == {"p1"}
    assert mine.unfinished() == []
    (held,) = mine.held()
    assert (held.build_id, held.reason) == ("b2", "the gate stopped it")
    # and keeps each path once, however often it looks
    other.record("b3", "publishing", TOUCHED, ["p3"])
    mine.refresh()
    states = {(state["build_id"], state["state"]) for state in mine.states()}
    assert states == {("b1", "finished"), ("b2", "held"), ("b3", "publishing")}


def test_journal__survives_its_compaction(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    mine, other = Journal(store), Journal(store)
    for number in range(3):
        other.record(f"b{number}", "finished", TOUCHED, [f"p{number}"])
        mine.refresh()
        assert len(mine.applied_paths()) == number + 1
    DeltaTable(store.delta_uri(BUILDS.path)).optimize.compact()
    other.record("b3", "finished", TOUCHED, ["p3"])
    mine.refresh()
    assert mine.applied_paths() == {"p0", "p1", "p2", "p3"}
    assert len(mine.states()) == 4


def test_journal__takes_nothing_of_who_lost_the_lock(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    # A journal of before there were numbers.
    Journal(store).record("b0", "publishing", TOUCHED, ["p0"])
    first, second = (
        Journal(store, BUILDS, LockFence("build", number, lambda _: None)) for number in (1, 2)
    )
    first.record("b1", "publishing", TOUCHED, ["p1"])
    second.record("b1", "repaired", TOUCHED)
    with pytest.raises(LeaseHeld, match=r"'build' was lost .*took it over, says .*/builds"):
        first.record("b1", "finished", TOUCHED, ["p1"])
    second.record("b2", "finished", TOUCHED, ["p1"])
    states = [(state["build_id"], state["state"]) for state in Journal(store).states()]
    assert sorted(states) == [
        ("b0", "publishing"), ("b1", "publishing"), ("b1", "repaired"), ("b2", "finished"),
    ]  # fmt: skip


def test_journal__held_is_over_when_its_objects_are_applied_or_repaired(lake_root: Path) -> None:
    journal = Journal(LocalStore(lake_root))
    journal.record("b1", "held", TOUCHED, ["p1", "p2"], "why")
    journal.record("b2", "finished", TOUCHED, ["p1"])
    assert len(journal.held()) == 1
    journal.record("b3", "finished", TOUCHED, ["p2"])
    assert journal.held() == []
    journal.record("b4", "held", TOUCHED, ["p4"], "why")
    journal.record("b4", "repaired", TOUCHED)
    assert journal.held() == []
