"""A full recompute of the lake in plain Python, for tests only.

It is written from the rules and not from `lake/`: no module of `lake` or pyspark is imported, and
it favours the shape of the rule over speed. `recompute` gives every table as a list of rows.
"""

from tests.oracle.reading import Event, Rules, read_event, read_events
from tests.oracle.recompute import recompute
from tests.oracle.rows import Row

__all__ = ["Event", "Row", "Rules", "read_event", "read_events", "recompute"]
