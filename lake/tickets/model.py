"""A language model that labels tickets, within limits of time, tries and tokens.

Whatever goes wrong, the rules answer, and the answer says why. What a run may cost is counted in
tokens: as the server reports them, else as estimated from above; a request is sent only where its
estimate still fits. After BREAKER_FAILURES requests in a row that gave nothing, no more are sent.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from lake.tickets.endpoint import Endpoint, ExchangeError
from lake.tickets.exchange import (
    MalformedReplyError,
    Redacted,
    Reply,
    estimated_tokens,
    read_reply,
    request_body,
)
from lake.tickets.labels import Labels
from lake.tickets.monitoring import TicketMetrics

BREAKER_FAILURES = 3
LONGEST_WAIT_SECONDS = 8.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelOptions:
    """name: of the model. batch: tickets per request. max_tokens: of all requests together."""

    name: str
    batch: int
    attempts: int
    max_tokens: int


@dataclass
class Spending:
    """Tokens of a run."""

    limit: int
    spent: int = 0

    def allows(self, estimate: int) -> bool:
        return self.spent + estimate <= self.limit


class _Failed(Exception):  # noqa: N818 - what happened, not a fault of the program
    """A request that gave nothing. retry_after: seconds that the server asks to wait."""

    def __init__(self, reason: str, *, again: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.retry_after = retry_after


@dataclass
class Model:
    """Asks one model during one run."""

    endpoint: Endpoint
    options: ModelOptions
    metrics: TicketMetrics
    sleep: Callable[[float], None] = time.sleep
    spending: Spending = field(init=False)
    _failures: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.spending = Spending(self.options.max_tokens)

    def ask(self, tickets: Sequence[Redacted]) -> list[Labels | str]:
        """For each ticket its labels, or the reason why there are none."""
        if self._failures >= BREAKER_FAILURES:
            return ["breaker"] * len(tickets)
        began = time.monotonic()
        try:
            reply = self._asked(tickets)
        except _Failed as failed:
            if failed.reason != "cost_cap":
                self._count_failure(failed.reason)
            return [failed.reason] * len(tickets)
        finally:
            self.metrics.batch_seconds.observe(time.monotonic() - began)
        if reply.labels:
            self._failures = 0
        else:
            self._count_failure("malformed")
        return [reply.labels.get(number, "malformed") for number in range(1, len(tickets) + 1)]

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        log.warning("the model gave no labels: %s", reason)
        if self._failures == BREAKER_FAILURES:
            log.warning("the model failed %d times in a row: the rules go on", BREAKER_FAILURES)

    def _asked(self, tickets: Sequence[Redacted]) -> Reply:
        body = request_body(self.options.name, tickets)
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Failed) and error.again),
            stop=stop_after_attempt(self.options.attempts),
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(self._asked_once, body, len(tickets))

    def _asked_once(self, body: bytes, tickets: int) -> Reply:
        estimate = estimated_tokens(body, tickets)
        if not self.spending.allows(estimate):
            raise _Failed("cost_cap", again=False)
        began = time.monotonic()
        outcome = "ok"
        try:
            return self._exchanged(body, tickets, estimate)
        except _Failed as failed:
            outcome = failed.reason
            raise
        finally:
            self.metrics.requests.labels(outcome).inc()
            self.metrics.request_seconds.observe(time.monotonic() - began)

    def _exchanged(self, body: bytes, tickets: int, estimate: int) -> Reply:
        try:
            response = self.endpoint.post(body)
        except ExchangeError as error:
            # The server may have worked for it all the same.
            self._spend(None, estimate)
            raise _Failed(error.reason, again=error.reason != "malformed") from None
        if response.status == 429 or response.status >= 500:
            reason = "rate_limited" if response.status == 429 else "server_error"
            wait = response.retry_after
            # Nobody waits longer than for an answer.
            is_bearable = wait is None or wait <= self.endpoint.timeout_seconds
            raise _Failed(reason, again=is_bearable, retry_after=wait)
        if response.status != 200:
            log.warning("the model's server answered with status %d", response.status)
            raise _Failed("refused", again=False)
        try:
            reply = read_reply(response.body, tickets)
        except MalformedReplyError as error:
            self._spend(error.tokens, estimate)
            raise _Failed("malformed", again=False) from None
        self._spend(reply.tokens, estimate)
        return reply

    def _spend(self, reported: int | None, estimate: int) -> None:
        tokens = estimate if reported is None else reported
        self.spending.spent += tokens
        self.metrics.tokens.labels("estimated" if reported is None else "reported").inc(tokens)


def _wait(state: RetryCallState) -> float:
    """As long as the server asks; else longer each time, and never two runs in step."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Failed) and error.retry_after is not None:
        return error.retry_after
    longest = min(LONGEST_WAIT_SECONDS, 2.0 ** (state.attempt_number - 1))
    return random.uniform(longest / 2, longest)
