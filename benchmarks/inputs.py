"""Events to measure on: generated once, kept in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lake.errors import LakeError

PROJECT = Path(__file__).parent.parent
GENERATOR = "generate_events.py"
PEER = "duckdb_pipeline.py"
EVENTS_PER_FILE = 100_000
# All generated events lie on this day.
DAY = "2025-11-15"


def bench_folder() -> Path:
    """The folder of the generator and the peer. Raises LakeError that says where they should be."""
    folder = Path(os.environ.get("LMSLAKE_SHARED_BENCH") or PROJECT.parent / "shared" / "bench")
    missing = [name for name in (GENERATOR, PEER) if not (folder / name).is_file()]
    if missing:
        raise LakeError(
            f"{' and '.join(missing)} not found in {folder}: the benchmark compares with them.\n"
            "  Set LMSLAKE_SHARED_BENCH to the folder that holds them."
        )
    return folder


def generated_events(events: int, students: int, cache: Path) -> Path:
    """Folder of gzipped native events; the same numbers give the same bytes.

    Kept under `cache`; a run that was interrupted leaves nothing that looks complete.
    """
    files = max(1, events // EVENTS_PER_FILE)
    folder = cache / "benchmarks" / f"events-{events}-{students}-{files}"
    if folder.is_dir():
        return folder
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    generator = bench_folder() / GENERATOR
    arguments = [str(events), str(students), str(part), str(files)]
    try:
        subprocess.run([sys.executable, str(generator), *arguments], check=True)
        part.replace(folder)
    except subprocess.CalledProcessError as error:
        raise LakeError(f"{generator} failed with exit code {error.returncode}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
