"""Upkeep of a lake: small files joined, old ones removed, leftovers of dead writers swept."""

from lake.maintenance.run import maintain
from lake.maintenance.work import PARTS, Outcome, Plan

__all__ = ["PARTS", "Outcome", "Plan", "maintain"]
