"""A DuckDB that can read Delta tables, and the store where they lie."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lake.errors import LakeError

if TYPE_CHECKING:
    import duckdb

    from lake.settings import Settings

EXTENSIONS = ("delta", "httpfs")


def opened_duckdb(settings: Settings) -> duckdb.DuckDBPyConnection:
    """An empty in-memory DuckDB with the extensions and the store's keys; times are UTC.

    Raises LakeError where the extensions are not installed.
    """
    import duckdb

    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    for name in EXTENSIONS:
        connection.execute("LOAD '" + str(_extension_file(name)).replace("'", "''") + "'")
    connection.execute("SET TimeZone = 'UTC'")
    if settings.is_s3:
        _create_secret(connection, settings)
    return connection


def _extension_file(name: str) -> Path:
    """The extension as its PyPI package ships it: nothing is downloaded at run time."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise LakeError(
            f"DuckDB's {name} extension is not installed.\n"
            f"  pip install duckdb-extension-{name} (of the same version as duckdb)"
        )
    import duckdb

    file = f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"
    path = Path(spec.origin).parent / file
    if not path.is_file():
        raise LakeError(
            f"DuckDB {duckdb.__version__} and its {name} extension are of different versions.\n"
            f"  pip install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return path


def _create_secret(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The store's keys, given as parameters so that no statement holds them."""
    key, secret, token = _s3_keys(settings)
    options = {
        "KEY_ID": key,
        "SECRET": secret,
        "SESSION_TOKEN": token,
        "REGION": settings.s3_region,
    }
    fixed = ""
    if settings.s3_endpoint:
        endpoint = urlsplit(settings.s3_endpoint)
        options["ENDPOINT"] = endpoint.netloc
        fixed = f", URL_STYLE 'path', USE_SSL {str(endpoint.scheme == 'https').lower()}"
    given = {name: value for name, value in options.items() if value}
    named = ", ".join(f"{name} ${name.lower()}" for name in given)
    connection.execute(
        f"CREATE SECRET lake (TYPE s3, {named}{fixed})",
        {name.lower(): value for name, value in given.items()},
    )


def _s3_keys(settings: Settings) -> tuple[str | None, str | None, str | None]:
    if settings.s3_access_key and settings.s3_secret_key is not None:
        return settings.s3_access_key, settings.s3_secret_key.get_secret_value(), None
    import boto3

    found = boto3.Session().get_credentials()
    if found is None:
        return None, None, None
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


def fetched(
    connection: duckdb.DuckDBPyConnection, query: str, **values: Any
) -> Iterator[dict[str, Any]]:
    """Rows of the answer by column; `values` are the query's parameters."""
    relation = connection.execute(query, values)
    names = [column[0] for column in relation.description or ()]
    for row in relation.fetchall():
        yield dict(zip(names, row, strict=True))
