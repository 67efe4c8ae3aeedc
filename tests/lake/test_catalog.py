"""Course catalogues: valid ones are upserted, others refused with the line and the column."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake.catalog import CatalogReport, load_catalog, read_catalog
from lake.errors import LakeError
from lake.storage_local import LocalStore
from schemas.tables.silver import DIM_CHAPTERS

HEADER = "course_id,course_title,chapter_id,chapter_title\n"


@pytest.fixture
def store(lake_root: Path) -> LocalStore:
    return LocalStore(lake_root)


def catalogue(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "courses.csv"
    path.write_bytes(text.encode(encoding))
    return path


def titles(store: LocalStore) -> dict[tuple[str, str], tuple[str, str]]:
    rows = DeltaTable(store.delta_uri(DIM_CHAPTERS.path)).to_pyarrow_table().to_pylist()
    return {
        (row["course_id"], row["chapter_id"]): (row["course_title"], row["chapter_title"])
        for row in rows
    }


def test_load_catalog__upserts_by_key(store: LocalStore, tmp_path: Path) -> None:
    first = catalogue(tmp_path, HEADER + "p,Physics,p1,Motion\np,Physics,p2,Force\nb,Biology,b1,\n")
    assert load_catalog(store, first) == CatalogReport(added=3, changed=0, unchanged=0)
    second = catalogue(tmp_path, HEADER + "p,Physics,p2,Forces\np,Physics,p3,Energy\n")
    assert load_catalog(store, second) == CatalogReport(added=1, changed=1, unchanged=2)
    assert titles(store) == {
        ("p", "p1"): ("Physics", "Motion"),
        ("p", "p2"): ("Physics", "Forces"),
        ("p", "p3"): ("Physics", "Energy"),
        ("b", "b1"): ("Biology", None),
    }


def test_load_catalog__writes_nothing_the_second_time(store: LocalStore, tmp_path: Path) -> None:
    path = catalogue(tmp_path, HEADER + "p,Physics,p1,Motion\n")
    load_catalog(store, path)
    version = DeltaTable(store.delta_uri(DIM_CHAPTERS.path)).version()
    assert load_catalog(store, path) == CatalogReport(added=0, changed=0, unchanged=1)
    assert DeltaTable(store.delta_uri(DIM_CHAPTERS.path)).version() == version


def test_load_catalog__renames_a_course_for_all_its_chapters(
    store: LocalStore, tmp_path: Path
) -> None:
    load_catalog(store, catalogue(tmp_path, HEADER + "p,Physics,p1,A\np,Physics,p2,B\n"))
    report = load_catalog(store, catalogue(tmp_path, HEADER + "p,Physics 9,p1,A\n"))
    assert report == CatalogReport(added=0, changed=2, unchanged=0)
    assert {title for title, _ in titles(store).values()} == {"Physics 9"}


def test_read_catalog__takes_what_spreadsheets_write(tmp_path: Path) -> None:
    text = (
        "chapter_title;x,course_id,chapter_id,course_title,notes\r\n".replace(";x", "")
        + '"Force, mass",p, p1 ,"Physik – 9",n\r\n'
    )
    path = catalogue(tmp_path, text, "utf-8-sig")
    assert read_catalog(path) == {("p", "p1"): ("Physik – 9", "Force, mass")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: column course_id is missing"),
        ("course_id,course_title,chapter_title\np,P,M\n", "line 1: column chapter_id is missing"),
        ("course_id," + HEADER, "line 1: column course_id is there twice"),
        (HEADER, "no rows"),
        (HEADER + "p,P,p1,M\n,P,p2,M\n", "line 3: course_id is empty"),
        (HEADER + "p,P\n", "line 2: chapter_id: the line ends before it"),
        (HEADER + "p,P,p1,Force, mass\n", "line 2: more cells"),
        (HEADER + "p,P,p1,M\np,P,p1,N\n", "line 3: chapter p1 .* in line 2"),
        (HEADER + "p,P,p1,M\np,Q,p2,N\n", "line 3: course_title: .* in line 2"),
        (HEADER + f"{'p' * 257},P,p1,M\n", "line 2: course_id has 257"),
        (HEADER + 'p,P,p1,"a\nb"\n', "chapter_title holds a control character"),
        (HEADER + 'p,P,p1,"M\n', "line 2: "),
    ],
)
def test_load_catalog__refuses_the_whole_file(
    store: LocalStore, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        load_catalog(store, catalogue(tmp_path, text))
    assert not (store.root / DIM_CHAPTERS.path).exists()


def test_read_catalog__names_the_line_that_is_not_utf8(tmp_path: Path) -> None:
    path = catalogue(tmp_path, HEADER + "p,P,p1,M\np,P,p2,Kräfte\n", "latin-1")
    with pytest.raises(LakeError, match="line 3: not UTF-8"):
        read_catalog(path)


def test_read_catalog__shows_the_first_faults_and_counts_the_rest(tmp_path: Path) -> None:
    path = catalogue(tmp_path, HEADER + ",P,p1,M\n" * 25)
    with pytest.raises(LakeError, match=r"line 21: .*\n  … and 5 more"):
        read_catalog(path)
