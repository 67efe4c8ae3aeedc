"""The lake's objects in an S3 bucket (AWS, MinIO or anything with conditional writes)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from lake.errors import LakeError
from lake.settings import Settings
from lake.storage import Lease, StoreAwayError, StoredObject, missing_object

if TYPE_CHECKING:
    from datetime import datetime

# A store that says nothing is given up in time for the next attempt to find it well again. Sending
# is timed as connecting is, block by block.
CONNECT_SECONDS = 10
ANSWER_SECONDS = 20
READ_ATTEMPTS = 4
MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
# What a store answers to whom it knows not, or does not let in; in numbers where it answers a HEAD.
REFUSALS = frozenset(
    {"AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
) | {"301", "400", "401", "403", "404"}

log = logging.getLogger(__name__)


class S3Store:
    """Objects below `s3://bucket/prefix/`."""

    def __init__(
        self, client: Any, bucket: str, prefix: str, storage_options: dict[str, str]
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._storage_options = storage_options

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        """Raises StoreAwayError where the bucket cannot be reached, LakeError where the store
        refuses."""
        import boto3
        from botocore.config import Config

        bucket, _, prefix = settings.root.removeprefix("s3a://").partition("/")
        secret = settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None
        client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=settings.s3_access_key,
            aws_secret_access_key=secret,
            region_name=settings.s3_region,
            config=Config(
                s3={"addressing_style": "path"} if settings.s3_endpoint else {},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
                # Few: their pauses double, and who waits for a store for long does it himself.
                retries={"mode": "standard", "max_attempts": 3},
            ),
        )
        store = cls(client, bucket, prefix, _delta_options(settings, secret))
        store._check_bucket()
        return store

    def _check_bucket(self) -> None:
        with self._answering():
            self.client.head_bucket(Bucket=self.bucket)

    def is_empty(self) -> bool:
        """Whether nothing at all lies below the prefix: one LIST of one key. Raises as
        `from_settings`."""
        with self._answering():
            found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
        return not found.get("Contents")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What the store answers to the first questions, as errors for the user."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            kind = LakeError if is_refusal(error) else StoreAwayError
            raise kind(
                f"Bucket {self.bucket} cannot be reached: {error}\n"
                "  Check LMSLAKE_ROOT, LMSLAKE_S3_ENDPOINT, LMSLAKE_S3_ACCESS_KEY and "
                "LMSLAKE_S3_SECRET_KEY, and that the bucket exists."
            ) from None

    def put(self, key: str, body: bytes) -> None:
        # As a stream it is sent in blocks, each with the time of its own that a slow way needs.
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=BytesIO(body))

    def put_file(self, key: str, body: BinaryIO) -> None:
        self.client.upload_fileobj(body, self.bucket, self.prefix + key)

    def get(self, key: str) -> bytes:
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            log.info("%s broke off, reading it again: %s", self.uri(key), error)

        # boto3 repeats requests, but not an answer that breaks off while it is read.
        retrying = Retrying(
            retry=retry_if_exception_type((BotoCoreError, HTTPError)),
            stop=stop_after_attempt(READ_ATTEMPTS),
            before_sleep=say,
            reraise=True,
        )
        body = b""
        for attempt in retrying:
            with self.open(key) as source, attempt:
                body = source.read()
        return body

    def open(self, key: str) -> BinaryIO:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
        except self.client.exceptions.NoSuchKey:
            raise missing_object(self.uri(key)) from None
        return cast(BinaryIO, answer["Body"])

    def exists(self, key: str) -> bool:
        return self._head(key) is not None

    def size(self, key: str) -> int:
        head = self._head(key)
        if head is None:
            raise missing_object(self.uri(key))
        return int(head["ContentLength"])

    def _head(self, key: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            head = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        return cast("dict[str, Any]", head)

    def list(self, prefix: str) -> Iterator[str]:
        for item in self.list_with_times(prefix):
            if not any(part.startswith(".") for part in item.key.split("/")):
                yield item.key

    def list_with_times(self, prefix: str) -> Iterator[StoredObject]:
        folder = self.prefix + (f"{prefix.rstrip('/')}/" if prefix else "")
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=folder
        )
        for page in pages:
            for item in page.get("Contents", ()):
                key = item["Key"].removeprefix(self.prefix)
                yield StoredObject(key, item["Size"], item["LastModified"])

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def delete_older(self, key: str, before: datetime) -> bool:
        head = self._head(key)
        if head is None or head["LastModified"] >= before:
            return False
        self.delete(key)
        return True

    def uri(self, key: str) -> str:
        return f"s3a://{self.bucket}/{self.prefix}{key}".rstrip("/")

    def delta_uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}".rstrip("/")

    @property
    def storage_options(self) -> dict[str, str]:
        return dict(self._storage_options)

    @contextmanager
    def lease(self, name: str) -> Iterator[Lease]:
        from lake.lease_record import released
        from lake.lease_s3 import S3Lease

        held = S3Lease(self, name)
        held.acquire()
        with released(held):
            yield held


def is_refusal(error: BaseException) -> bool:
    """Whether the store will answer the same until somebody changes settings or rights."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") in REFUSALS
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return True
    # delta-rs has an OSError for all, with the answer in its text.
    codes = re.findall(r"<Code>(\w+)</Code>", str(error)) if isinstance(error, OSError) else ()
    return not REFUSALS.isdisjoint(codes)


def _delta_options(settings: Settings, secret: str | None) -> dict[str, str]:
    options = {"AWS_REGION": settings.s3_region, "AWS_CONDITIONAL_PUT": "etag"}
    if settings.s3_endpoint:
        options |= {
            "AWS_ENDPOINT_URL": settings.s3_endpoint,
            "AWS_ALLOW_HTTP": str(settings.s3_endpoint.startswith("http://")).lower(),
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        }
    if settings.s3_access_key:
        options["AWS_ACCESS_KEY_ID"] = settings.s3_access_key
    if secret:
        options["AWS_SECRET_ACCESS_KEY"] = secret
    return options
