"""Gates: rows are checked before readers can see them.

The declared checks become aggregates of the pass that computes the rows (`rules`), Great
Expectations judges their one-row summary (`judge`), the results are kept (`record`), and a failed
error check stops the publication (`gate`). Spark and Great Expectations are imported on use.
"""

from lake.gates.gate import Gate
from lake.gates.judge import Verdict, prepare
from lake.gates.result import GateFailed, GateResult

__all__ = ["Gate", "GateFailed", "GateResult", "Verdict", "prepare"]
