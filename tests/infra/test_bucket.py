"""The bucket that a lake on S3 needs."""

from __future__ import annotations

import pytest

from infra.setup.bucket import make_bucket
from lake.errors import LakeError
from tests.services import Minio, closed_port

pytestmark = pytest.mark.services


def test_make_bucket__makes_it_once(minio: Minio) -> None:
    settings = minio.settings().model_copy(update={"root": "s3a://bucket-of-its-own/lake"})
    assert make_bucket(settings) == "bucket-of-its-own"
    assert make_bucket(settings) == "bucket-of-its-own"


def test_make_bucket__says_what_was_refused(minio: Minio) -> None:
    settings = minio.settings()
    with pytest.raises(LakeError, match="Bucket Not_A_Name cannot be made"):
        make_bucket(settings.model_copy(update={"root": "s3a://Not_A_Name/lake"}))
    with closed_port() as port:
        away = settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{port}"})
        with pytest.raises(LakeError, match="cannot be made"):
            make_bucket(away)
