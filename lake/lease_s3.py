"""A lock that is an object in an S3 bucket."""

from __future__ import annotations

import logging
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lake.fencing import LockFence
from lake.lease_record import LeaseRecord, State, is_given_back
from lake.storage import lease_held, lease_lost
from lake.storage_s3 import MISSING

if TYPE_CHECKING:
    from datetime import datetime

    from lake.storage_s3 import S3Store

LEASE_EXPIRY_SECONDS = 60
# Before others may take the lease over, its holder must know that it may have lost it.
LONGEST_SILENCE_SECONDS = 50
HEARTBEAT_SECONDS = 15
REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})

log = logging.getLogger(__name__)


class S3Lease:
    """An object written on condition, kept young by a heartbeat.

    Who finds it older than the expiry, by the server's clock, or given back, may replace it. It is
    never removed: the next holder's number follows from it.
    """

    record: LeaseRecord
    fence: LockFence

    def __init__(self, store: S3Store, name: str) -> None:
        self.name = name
        self._client = store.client
        self._where = {"Bucket": store.bucket, "Key": f"{store.prefix}_locks/{name}"}
        self._id = uuid4().hex
        self._etag = ""
        self._beaten = 0.0
        self._lost = ""
        self._state: State = "held"
        self._writing = threading.Lock()
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True, name=f"lease {name}")

    def acquire(self) -> None:
        """Raises LeaseHeld where another process holds it."""
        from botocore.exceptions import ClientError

        found, condition, now = self._found()
        self.record = LeaseRecord(found, now)
        self.fence = LockFence(self.name, self.record.number, self._announce)
        try:
            self._write(**condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in REFUSED | MISSING:
                raise lease_held(self.name, b"") from None
            raise
        self._heart.start()

    def _found(self) -> tuple[bytes, dict[str, str], float]:
        """What is there, on which condition it may be replaced, and the server's time."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(**self._where)
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise
            return b"", {"IfNoneMatch": "*"}, _time_of(error.response).timestamp()
        body: bytes = found["Body"].read()
        now = _time_of(found)
        age = (now - found["LastModified"]).total_seconds()
        if not is_given_back(body) and age < LEASE_EXPIRY_SECONDS:
            raise lease_held(self.name, body)
        return body, {"IfMatch": found["ETag"]}, now.timestamp()

    def _write(self, **condition: str) -> None:
        """Raises ClientError where the condition does not hold."""
        from botocore.exceptions import ClientError

        began = time.monotonic()
        try:
            self._etag = self._put(**condition)
        except ClientError as error:
            if error.response["Error"]["Code"] not in REFUSED:
                raise
            found = self._client.get_object(**self._where)
            if self._id.encode() not in found["Body"].read():
                raise
            # It is our own: the answer to an earlier write was lost on the way.
            self._etag = self._put(IfMatch=found["ETag"])
        self._beaten = began

    def _put(self, **condition: str) -> str:
        # Each body differs, so that each write has an ETag of its own.
        body = self.record.body(self._state, lease=self._id, beat=uuid4().hex)
        return str(self._client.put_object(**self._where, Body=body, **condition)["ETag"])

    def _beat(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                with self._writing:
                    self._renew()
            except (ClientError, BotoCoreError) as error:
                log.warning("the heartbeat of lock %s failed: %s", self.name, error)
            if self._lost:
                return

    def _renew(self) -> None:
        """Write it anew, or find it lost."""
        from botocore.exceptions import ClientError

        try:
            self._write(IfMatch=self._etag)
        except ClientError as error:
            if error.response["Error"]["Code"] not in REFUSED | MISSING:
                raise
            self._lost = str(error)

    def check(self) -> None:
        silent = time.monotonic() - self._beaten
        if not self._lost and silent > LONGEST_SILENCE_SECONDS:
            self._lost = f"no heartbeat reached the store for {silent:.0f} s"
        if self._lost:
            raise lease_lost(self.name, self._lost)

    def _announce(self, table: str) -> None:
        self.check()
        with self._writing:
            self.record.creations.add(table)
            self._renew()
        self.check()

    def release(self, *, is_clean: bool) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        self._released.set()
        self._heart.join()
        if self._lost:
            return
        self._state = self.record.last_state(is_clean=is_clean)
        try:
            self._write(IfMatch=self._etag)
        except (ClientError, BotoCoreError) as error:
            log.warning("the lock %s was not given back and will expire: %s", self.name, error)


def _time_of(answer: dict[str, Any]) -> datetime:
    """When the server gave the answer, by its own clock."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
