"""`lmslake tickets` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.tickets import command
from lake.errors import LakeError
from lake.storage import open_store
from lake.storage_local import LocalStore
from tests.services import Minio
from tests.tickets.lakes import labels_of, put_directory, put_tickets, ticket
from tests.tickets.server import KEY, Server, failing


@pytest.fixture
def store(lake_root: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("LMSLAKE_ROOT", str(lake_root))
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", "a key of sixteen bytes and more")
    store = LocalStore(lake_root)
    put_tickets(store, [ticket("T1"), ticket("T2", "Certificate", None)])
    put_directory(store, [{"student_id": "STU001", "student_name": "Ana Lima"}])
    return store


@pytest.fixture
def with_model(store: LocalStore, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("LMSLAKE_TICKET_MODEL_URL", server.url)
    monkeypatch.setenv("LMSLAKE_TICKET_MODEL", "m-1")
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    return server


def called(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_label__with_rules(store: LocalStore) -> None:
    assert called("label").stdout.splitlines() == [
        "2 tickets labelled, 0 as they were, 0 under another student or day, 0 gone",
        "  2 by the rules",
    ]
    assert called("label").stdout.startswith("0 tickets labelled, 2 as they were")
    assert "1 are left" in called("label", "--again", "--limit", "1").stdout


def test_label__of_a_lake_in_a_bucket(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = minio.settings()
    key = {"LMSLAKE_PSEUDONYM_KEY": "a key of sixteen bytes and more"}
    for name, value in {**minio.environment(), **key, "LMSLAKE_ROOT": settings.root}.items():
        monkeypatch.setenv(name, value)
    store = open_store(settings)
    put_tickets(store, [ticket("T1"), ticket("T2", "Certificate", None)])
    put_directory(store, [{"student_id": "STU001", "student_name": "Ana Lima"}])
    assert "2 tickets labelled" in called("label").stdout
    put_tickets(store, [ticket("T1", "Certificate"), ticket("T2", "Certificate", None)])
    assert called("label").stdout.startswith("1 tickets labelled, 1 as they were")
    assert {row["answered_by"] for row in labels_of(store).values()} == {"rules"}
    assert "administration" in called("show").stdout


def test_label__with_a_model_that_fails_first(with_model: Server, tmp_path: Path) -> None:
    with_model.does(failing(401, text=KEY))
    metrics = tmp_path / "tickets.prom"
    said = called("label", "--metrics-file", str(metrics))
    assert said.exit_code == 0
    assert "  2 by the rules (refused)\n" in said.stdout
    assert "lmslake tickets label --retry-fallbacks" in said.stdout
    told = metrics.read_text()
    expected = 'lmslake_tickets_labelled_total{answered_by="rules",fallback_reason="refused"} 2.0'
    assert expected in told
    assert 'lmslake_tickets_requests_total{outcome="refused"} 1.0' in told
    assert 'lmslake_tickets_request_seconds_bucket{le="300.0"} 1.0' in told

    said = called("label", "--retry-fallbacks")
    assert "  2 by the model\ntokens: 100 of 200,000\n" in said.stdout
    assert KEY not in said.output + told


def test_label__keeps_the_key_and_the_texts_out_of_the_lake(
    with_model: Server, store: LocalStore
) -> None:
    called("label")
    assert {row["answered_by"] for row in labels_of(store).values()} == {"model"}
    for path in (store.root / "tables").rglob("*"):
        if path.is_file() and "restricted" not in path.parts:
            assert KEY.encode() not in path.read_bytes()
            assert b"18, not 8" not in path.read_bytes()


def test_show__counts_labels(store: LocalStore) -> None:
    with pytest.raises(LakeError, match="lmslake tickets label"):
        called("show")
    called("label")
    lines = called("show").stdout.splitlines()
    assert lines == [
        "label\tvalue\ttickets",
        "category\tadministration\t1",
        "category\tgrades\t1",
        "urgency\tnormal\t2",
        "sentiment\tnegative\t1",
        "sentiment\tneutral\t1",
        "answered_by\trules\t2",
        "classifier\trules-1\t2",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("label", "--retry-fallbacks"), "needs a model"),
        (("label", "--metrics-file", "no/such/folder/x.prom"), "no folder"),
    ],
)
def test_label__says_what_is_wrong(
    store: LocalStore, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        called(*arguments)
    assert not (store.root / "tables" / "silver").exists()


def test_label__a_model_that_is_set_in_part_labels_nothing(
    with_model: Server, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY")
    with pytest.raises(LakeError, match="no key"):
        called("label")
    assert not (store.root / "tables" / "silver").exists()


def test_label__without_a_lake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LMSLAKE_ROOT", str(tmp_path / "nowhere"))
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", "a key of sixteen bytes and more")
    with pytest.raises(LakeError, match="There is no lake"):
        called("label")
