"""Make the bucket that LMSLAKE_ROOT names, unless it is there: `python -m infra.setup.bucket`."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lake.errors import LakeError
from lake.settings import Settings

# AWS refuses to be told the region that it takes for granted.
AWS_DEFAULT_REGION = "us-east-1"


def make_bucket(settings: Settings) -> str:
    """The bucket's name. Raises LakeError where the store refuses or cannot be reached."""
    bucket = urlsplit(settings.root).netloc
    secret = settings.s3_secret_key
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )
    where = {}
    if settings.s3_region != AWS_DEFAULT_REGION:
        where["CreateBucketConfiguration"] = {"LocationConstraint": settings.s3_region}
    try:
        client.create_bucket(Bucket=bucket, **where)
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code != "BucketAlreadyOwnedByYou":
            raise LakeError(
                f"Bucket {bucket} cannot be made: {error}\n"
                "  Check LMSLAKE_ROOT, LMSLAKE_S3_ENDPOINT, LMSLAKE_S3_REGION, "
                "LMSLAKE_S3_ACCESS_KEY and LMSLAKE_S3_SECRET_KEY."
            ) from None
    return bucket


def main() -> None:
    try:
        settings = Settings.from_env()
        if not settings.is_s3:
            raise LakeError(f"LMSLAKE_ROOT={settings.root} names no bucket")
        print(f"bucket {make_bucket(settings)} is there")
    except LakeError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
