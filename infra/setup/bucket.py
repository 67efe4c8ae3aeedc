"""Make the bucket that LMSLAKE_ROOT names, unless it is there: `python -m infra.setup.bucket`."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from lake.settings import Settings


def make_bucket(settings: Settings) -> str:
    """The bucket's name. Raises botocore's errors where the store refuses."""
    bucket = urlsplit(settings.root).netloc
    secret = settings.s3_secret_key
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    return bucket


def main() -> None:
    settings = Settings.from_env()
    if not settings.is_s3:
        sys.exit(f"Error: LMSLAKE_ROOT={settings.root} names no bucket")
    print(f"bucket {make_bucket(settings)} is there")


if __name__ == "__main__":
    main()
