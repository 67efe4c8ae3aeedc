"""One behaviour of objects and leases, on a folder and on S3."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lake.errors import LakeError
from lake.settings import Settings
from lake.storage import ObjectStore, open_store
from lake.storage_local import LocalStore
from lake.storage_s3 import S3Store
from tests.services import Minio


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, lake_root: Path) -> ObjectStore:
    if request.param == "local":
        return LocalStore(lake_root)
    minio: Minio = request.getfixturevalue("minio")
    return open_store(minio.settings())


def test_store__puts_gets_lists_and_deletes(store: ObjectStore) -> None:
    store.put("a/b/2.txt", b"two")
    store.put("a/b/2.txt", b"second")
    store.put_file("a/1.txt", io.BytesIO(b"one"))
    store.put("ab/3.txt", b"")
    assert store.get("a/b/2.txt") == b"second"
    with store.open("a/1.txt") as stream:
        assert (stream.read(2), stream.read()) == (b"on", b"e")
    assert (store.size("a/b/2.txt"), store.exists("a/1.txt"), store.exists("a")) == (6, True, False)
    assert sorted(store.list("a")) == ["a/1.txt", "a/b/2.txt"]
    assert sorted(store.list("")) == ["a/1.txt", "a/b/2.txt", "ab/3.txt"]
    assert list(store.list("nowhere")) == []
    store.delete("a/1.txt")
    store.delete("a/1.txt")
    assert not store.exists("a/1.txt")
    for missing in (store.get, store.open, store.size):
        with pytest.raises(LakeError, match="missing"):
            missing("a/1.txt")


def test_lease__is_exclusive_and_comes_back(store: ObjectStore) -> None:
    with store.lease("build") as held:
        held.check()
        with (
            pytest.raises(LakeError, match=r"holds the lock 'build' \(host .*pid"),
            store.lease("build"),
        ):
            pass
        with store.lease("other"):
            pass
    with store.lease("build") as held:
        held.check()


def test_lease__says_whether_a_holder_before_may_still_commit(store: ObjectStore) -> None:
    numbers = []
    with store.lease("build") as lease:
        assert not lease.record.is_owed
        numbers.append(lease.record.number)
        lease.fence.announce("silver.events")
    for error in (LakeError("a gate stopped it"), KeyboardInterrupt()):
        with suppress(LakeError, KeyboardInterrupt), store.lease("build") as lease:
            # The lock was given back, and what its holder made is made.
            assert (lease.record.is_owed, lease.record.creations) == (False, set())
            numbers.append(lease.record.number)
            lease.fence.announce("silver.events")
            raise error
    for _ in range(2):  # the first one does not see to it
        with store.lease("build") as lease:
            assert (lease.record.is_owed, lease.record.creations) == (True, {"silver.events"})
            numbers.append(lease.record.number)
    with store.lease("build") as lease:
        lease.record.settle()
    with store.lease("build") as lease:
        assert not lease.record.is_owed
        numbers.append(lease.record.number)
    assert numbers == sorted(set(numbers))
    # Whoever removes the record does not begin at 1 again.
    store.delete("_locks/build")
    with store.lease("build") as lease:
        assert lease.record.number > numbers[0] - 60


def test_lease__of_a_killed_process_is_free(lake_root: Path) -> None:
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from lake.storage_local import LocalStore
        with LocalStore(Path({str(lake_root)!r})).lease("build"):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with LocalStore(lake_root).lease("build"):
        pass


def test_lease__on_s3_is_taken_over_when_expired_and_noticed(
    minio: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.lease_s3.HEARTBEAT_SECONDS", 3_600)
    settings = minio.settings()
    first, second = open_store(settings), open_store(settings)
    with first.lease("build") as old:
        monkeypatch.setattr("lake.lease_s3.LEASE_EXPIRY_SECONDS", -1)
        with second.lease("build") as new:
            new.check()
            assert new.record.number > old.record.number
            monkeypatch.setattr("lake.lease_s3.LEASE_EXPIRY_SECONDS", 60)
            old_lease: Any = old
            old_lease._released.wait = lambda seconds: False
            old_lease._beat()  # finds that the object is not its own any more
            with pytest.raises(LakeError, match="was lost"):
                old.check()
            with pytest.raises(LakeError, match="was lost"):
                old.fence.announce("silver.events")
    with second.lease("build") as last:
        assert last.record.number > new.record.number


def test_local_store__leaves_nothing_of_a_failed_put(lake_root: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        LocalStore(lake_root).put_file("a/x", Broken())
    assert list((lake_root / "a").iterdir()) == []


@pytest.mark.parametrize("key", ["", "../x", "/etc/passwd", "a/../../x"])
def test_local_store__stays_below_its_root(lake_root: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        LocalStore(lake_root).put(key, b"")


def test_open_store__bucket_that_is_not_there(minio: Minio) -> None:
    settings = minio.settings().model_copy(update={"root": "s3a://no-such-bucket/x"})
    with pytest.raises(LakeError, match="no-such-bucket cannot be reached"):
        open_store(settings)


def test_s3_store__looks_at_one_key_to_see_that_there_is_a_lake(minio: Minio) -> None:
    store = open_store(minio.settings())
    assert isinstance(store, S3Store)
    asked = []
    store.client.meta.events.register(
        "before-parameter-build.s3", lambda params, model, **_: asked.append((model.name, params))
    )
    assert store.is_empty()
    for name in ("a", "b"):
        store.put(name, b"")
    asked.clear()
    assert not store.is_empty()
    assert [(name, params["MaxKeys"]) for name, params in asked] == [("ListObjectsV2", 1)]


def test_open_store__root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(LakeError, match="cannot be made"):
        open_store(Settings(root=str(tmp_path / "x")))
