"""The landing zone in a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.landing.naming import MARKER, is_taken, source_of_folder
from lake.landing.zone import FileChanged, Look, ZoneFile, is_for_files

if TYPE_CHECKING:
    from lake.storage_s3 import S3Store


class S3Zone:
    """Objects below a prefix. An object is there as a whole or not at all."""

    is_whole = True

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._client = store.client

    @property
    def address(self) -> str:
        return self._store.uri("")

    def look(self) -> Look:
        files, folders = self._level("")
        look = Look(files=files)
        for folder in filter(is_for_files, folders):
            if source_of_folder(folder):
                look.files.extend(self._level(folder)[0])
            else:
                look.other_folders.append(folder)
        return look

    def folders(self, folder: str) -> list[str]:
        return self._level(folder)[1]

    def files(self, folder: str) -> list[ZoneFile]:
        return self._level(folder)[0]

    def _level(self, folder: str) -> tuple[list[ZoneFile], list[str]]:
        """Files and folders directly in a folder: what lies deeper is not listed."""
        start = self._store.prefix + (f"{folder}/" if folder else "")
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._store.bucket, Prefix=start, Delimiter="/"
        )
        objects: dict[str, Any] = {}
        folders: list[str] = []
        for page in pages:
            folders += [p["Prefix"][len(start) : -1] for p in page.get("CommonPrefixes", ())]
            objects |= {o["Key"][len(start) :]: o for o in page.get("Contents", ())}
        files = [
            ZoneFile(folder, name, item["Size"], (item["ETag"],), f"{name}{MARKER}" in objects)
            for name, item in sorted(objects.items())
            if name and is_taken(name)
        ]
        return files, folders

    @contextmanager
    def fetched(self, file: ZoneFile) -> Iterator[Path]:
        from botocore.exceptions import ClientError

        with tempfile.NamedTemporaryFile(prefix="lmslake-") as copy:
            try:
                self._client.download_fileobj(**self._where(file.key), Fileobj=copy)
            except ClientError as error:
                if not self._store.exists(file.key):
                    raise FileNotFoundError(file.key) from error
                raise
            copy.flush()
            yield Path(copy.name)

    def check(self, file: ZoneFile) -> None:
        """The copy does not change; whether it was of this object, `move` sees."""

    def move(self, file: ZoneFile, target: str) -> None:
        from botocore.exceptions import ClientError

        where, (etag,) = self._where(file.key), file.stamp
        try:
            self._client.copy(
                where,
                self._store.bucket,
                self._store.prefix + target,
                ExtraArgs={"CopySourceIfMatch": etag},
            )
            self._client.delete_object(**where, IfMatch=etag)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                raise FileChanged from None
            raise
        if file.is_marked:
            self._store.delete(f"{file.key}{MARKER}")

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._store.bucket, "Key": self._store.prefix + key}

    def put(self, key: str, body: bytes) -> None:
        self._store.put(key, body)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)
