"""Up to how many rows what is little goes without Spark, and what else depends on it: decision 012.

Read as `limits.NAME`, so that a test can take either way.
"""

from __future__ import annotations

# A commit of Spark's costs a second however little it adds, one of delta-rs a hundredth of it: so
# many rows are collected and written without Spark. Each is about 1 kB at most.
COLLECTED_ROWS = 100_000
# The same of reading: Spark asks its own jobs for a table's files.
FEW_ROWS = 20_000
# Rows of days among which few (COLLECTED_ROWS) are looked for without Spark, up to so many: they
# pass as Arrow, a million in less than half a second.
SEARCHED_ROWS = 10_000_000
# Rows beside which few are put without Spark, up to so many: those that stay as they are are held,
# and have some hundred bytes each.
COPIED_ROWS = 1_000_000
# Each task of Spark writes a file for each partition whose rows it has: rows of more partitions
# than this are brought together by partition first.
FEW_PARTITIONS = 8
# Days with no more events than this are computed whole: cheaper than to look for those whom a
# change touches.
WHOLE_DAY_ROWS = 20_000
