"""A lock that is an object in an S3 bucket."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lake.storage import LeaseHeld, lease_held, lease_holder
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

    Who finds it older than the expiry, by the server's clock, may replace it.
    """

    def __init__(self, store: S3Store, name: str) -> None:
        self.name = name
        self._client = store.client
        self._where = {"Bucket": store.bucket, "Key": f"{store.prefix}_locks/{name}"}
        self._id = uuid4().hex
        self._holder = {**lease_holder(), "lease": self._id}
        self._etag = ""
        self._beaten = 0.0
        self._lost = ""
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True, name=f"lease {name}")

    def acquire(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self._write(IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in REFUSED:
                raise
            self._take_over()
        self._heart.start()

    def _take_over(self) -> None:
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(**self._where)
            holder = found["Body"].read()
            if _age_seconds(found) < LEASE_EXPIRY_SECONDS:
                raise lease_held(self.name, holder)
            self._write(IfMatch=found["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] in REFUSED | MISSING:
                raise lease_held(self.name, b"") from None
            raise

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
        body = json.dumps({**self._holder, "beat": uuid4().hex}).encode()
        return str(self._client.put_object(**self._where, Body=body, **condition)["ETag"])

    def _beat(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                self._write(IfMatch=self._etag)
            except (ClientError, BotoCoreError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
                if code in REFUSED | MISSING:
                    self._lost = str(error)
                    return
                log.warning("the heartbeat of lock %s failed: %s", self.name, error)

    def check(self) -> None:
        silent = time.monotonic() - self._beaten
        if not self._lost and silent > LONGEST_SILENCE_SECONDS:
            self._lost = f"no heartbeat reached the store for {silent:.0f} s"
        if self._lost:
            raise LeaseHeld(
                f"The lock '{self.name}' was lost while the command ran: {self._lost}\n"
                "  Nothing was published after that. Run the command again."
            )

    def release(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        self._released.set()
        self._heart.join()
        if self._lost:
            return
        try:
            self._client.delete_object(**self._where, IfMatch=self._etag)
        except (ClientError, BotoCoreError) as error:
            log.warning("the lock %s was not removed and will expire: %s", self.name, error)


def _age_seconds(answer: dict[str, Any]) -> float:
    """Age of an object by the clock of the server that sent it."""
    from email.utils import parsedate_to_datetime

    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    modified: datetime = answer["LastModified"]
    return (now - modified).total_seconds()
