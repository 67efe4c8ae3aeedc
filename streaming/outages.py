"""A store or a broker that goes away and comes back: back-off, and one line per change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError
from deltalake.exceptions import DeltaError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential
from tenacity.stop import stop_base

from lake.errors import LakeError
from lake.ledger import StaleWriterError
from lake.storage_s3 import is_refusal

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 15.0
# What a store that fails raises through the libraries that speak to it.
STORE_FAULTS = (OSError, BotoCoreError, ClientError, DeltaError)
# LakeError: the ledger could not be written because others commit to it all the time.
STORE_ERRORS = (*STORE_FAULTS, LakeError)

log = logging.getLogger(__name__)


def is_store_outage(error: BaseException) -> bool:
    """Whether trying again later may help: not for a defect, not for a writer that is stale, not
    for one whom the store refuses."""
    if isinstance(error, StaleWriterError) or is_refusal(error):
        return False
    return isinstance(error, STORE_ERRORS)


class Outage:
    """Whether something that the archiver needs is away; says so once when it changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None

    @property
    def is_on(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long it has been on; 0 where it is not."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def begins(self, error: BaseException | None) -> None:
        """An attempt failed."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("%s is not available, trying again until it is: %s", self._what, error)

    def ends(self) -> None:
        """An attempt succeeded."""
        if self._since is not None:
            seconds = time.monotonic() - self._since
            self._since = None
            log.warning("%s is available again after %.0f s", self._what, seconds)


def failure_of(state: RetryCallState) -> BaseException | None:
    """What the last attempt raised."""
    return state.outcome.exception() if state.outcome else None


def retrying(outage: Outage, sleep: Callable[[float], None], stop: stop_base) -> Retrying:
    """Repeat what fails with an outage of the store: exponential back-off with full jitter."""

    return Retrying(
        retry=retry_if_exception(is_store_outage),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        sleep=sleep,
        stop=stop,
        before_sleep=lambda state: outage.begins(failure_of(state)),
        reraise=True,
    )
