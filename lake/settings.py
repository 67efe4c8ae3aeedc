"""Settings of a lake, read from the environment (`LMSLAKE_…`) by main() functions only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lake.errors import LakeError
from lake.settings_kafka import KafkaSettings
from lake.settings_records import RecordsSettings
from lake.settings_tickets import TicketSettings

BUNDLED_GEOIP = Path(__file__).parent / "data" / "geo-country.mmdb"
MIN_KEY_BYTES = 16
ANY_CORES = "local[*]"
PREFIX = "LMSLAKE_"
# Of the tests, not of a lake.
OTHER_VARIABLES = ("LMSLAKE_TEST_", "LMSLAKE_SHARED_")
MAXMIND_MARK = b"\xab\xcd\xefMaxMind.com"
# Where the format says that the mark is looked for: within the last 128 KiB.
MAXMIND_TAIL_BYTES = 128 * 1024


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/lmslake`, as other programs of this machine do it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmslake"


def known_address(address: str) -> str:
    """A folder as it is, a bucket as s3a://bucket/prefix. Raises ValueError for anything else."""
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in ("s3a", "s3"):
        raise ValueError("must be a local folder or s3a://bucket/prefix")
    return address.replace("s3://", "s3a://", 1).rstrip("/") if separator else address


def unknown_variables(names: Iterable[str], fields: Iterable[str]) -> list[str]:
    """What to say of each variable `LMSLAKE_…` that sets none of the fields."""
    known = {f"{PREFIX}{field.upper()}" for field in fields}
    told = []
    for name in sorted(names):
        if name.upper() in known or not name.upper().startswith(PREFIX):
            continue
        if name.startswith(OTHER_VARIABLES):
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "`lmslake settings` lists all."
        told.append(f"{name} is not a setting; {hint}")
    return told


class LakeSettings(BaseSettings):
    """Fields of `Settings` that every lake needs. Its other bases have the rest."""

    root: str = Field(
        "lake-data", description="The lake's root: a local folder or s3a://bucket/prefix."
    )
    tenant: str = Field("default", min_length=1, description="Part of every pseudonym.")
    pseudonym_key: SecretStr | None = Field(
        None, description="Secret key of the pseudonyms, at least 16 bytes. No default."
    )
    pseudonym_key_file: Path | None = Field(
        None, description="File that holds the key, instead of pseudonym_key."
    )
    pseudonym_key_version: int = Field(
        1, ge=1, description="Version of the key; a lake refuses to mix versions."
    )
    session_gap_minutes: int = Field(
        30, ge=1, le=1_439, description="Silence longer than this opens a new session."
    )
    max_event_age_days: int = Field(
        30, ge=1, description="Streamed events older than this are quarantined as too_old."
    )
    max_clock_skew_minutes: int = Field(
        10, ge=0, description="Events further ahead of the record time are in_future."
    )
    geoip_database: Path = Field(
        BUNDLED_GEOIP, description="MaxMind-format country database (.mmdb)."
    )
    flush_records: int = Field(200_000, ge=1, description="Records per flush of file ingestion.")
    max_record_bytes: int = Field(
        1_000_000, ge=1_024, description="Larger records are quarantined as too_large."
    )
    s3_endpoint: str | None = Field(
        None, description="URL of an S3-compatible store; unset means AWS."
    )
    s3_access_key: str | None = Field(None, description="Access key of the store.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret key of the store.")
    s3_region: str = Field("us-east-1", description="Region of the store.")
    lock_wait_minutes: float = Field(
        30.0, ge=0, description="How long a build waits for another process that builds."
    )
    spark_master: str = Field(
        ANY_CORES,
        pattern=r"^(local(\[(\*|\d+)(,\d+)?\])?|(spark|k8s)://.+|yarn)$",
        description="Spark master when not set by spark-submit. With local[*] little data is "
        "built on two cores.",
    )
    driver_memory: str | None = Field(
        None,
        pattern=r"^[1-9]\d*[mgMG]$",
        description="Heap of the Spark driver, as 512m or 4g. Unset: 4g, and 1g for little data.",
    )
    stack_trace: bool = Field(
        False,
        description="Show where in the program a disk or a store refused something, and what ended "
        "a continuous query.",
    )
    maven_repository: str | None = Field(
        None, description="A mirror to fetch JARs from. Unset: Maven Central."
    )
    cache_dir: Path = Field(
        default_factory=default_cache_dir, description="Where JARs and services are cached."
    )

    @field_validator("geoip_database")
    @classmethod
    def _database_exists(cls, path: Path) -> Path:
        if path == BUNDLED_GEOIP:
            return path
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAXMIND_TAIL_BYTES))
            if MAXMIND_MARK not in file.read():
                raise ValueError(f"not a database in MaxMind's format: {path}")
        return path

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.pseudonym_key is not None and self.pseudonym_key_file is not None:
            raise ValueError("set pseudonym_key or pseudonym_key_file, not both")
        return self


class Settings(TicketSettings, RecordsSettings, KafkaSettings, LakeSettings):
    """One lake: where it lies, how it pseudonymises, what it receives and how Spark runs.

    Every field is set by the environment variable `LMSLAKE_` + its name in capitals.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    @field_validator("root", "landing")
    @classmethod
    def _known_scheme(cls, address: str | None) -> str | None:
        return None if address is None else known_address(address)

    @classmethod
    def from_env(cls) -> Settings:
        """Settings of this process. Raises LakeError that names each wrong variable, no value.

        Warns on stderr of variables that look like settings and are none.
        """
        for warning in unknown_variables(os.environ, cls.model_fields):
            print(f"Warning: {warning}", file=sys.stderr)
        try:
            return cls()
        except ValidationError as error:
            lines = [
                f"  LMSLAKE_{str(*e['loc'][:1]).upper() or '…'}: "
                f"{e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_input=False, include_context=False)
            ]
            raise LakeError("Settings are not valid:\n" + "\n".join(lines)) from None

    @property
    def is_s3(self) -> bool:
        return self.root.startswith("s3a://")

    @property
    def landing_zone(self) -> str:
        """Where files of school records arrive."""
        return self.landing or f"{self.root}/landing"

    @property
    def session_gap(self) -> timedelta:
        return timedelta(minutes=self.session_gap_minutes)

    @property
    def lock_wait(self) -> timedelta:
        return timedelta(minutes=self.lock_wait_minutes)

    @property
    def max_clock_skew(self) -> timedelta:
        return timedelta(minutes=self.max_clock_skew_minutes)

    @property
    def max_event_age(self) -> timedelta:
        return timedelta(days=self.max_event_age_days)

    def key(self) -> bytes:
        """The pseudonym key. Raises LakeError where none is set or it is too short."""
        if self.pseudonym_key_file is not None:
            try:
                key = self.pseudonym_key_file.read_bytes().strip()
            except OSError as error:
                raise LakeError(
                    f"LMSLAKE_PSEUDONYM_KEY_FILE cannot be read: {error.strerror}"
                ) from None
        elif self.pseudonym_key is not None:
            key = self.pseudonym_key.get_secret_value().encode()
        else:
            raise LakeError(
                "No pseudonym key is set, and there is no default one.\n"
                "  export LMSLAKE_PSEUDONYM_KEY_FILE=lake.key   "
                "(make one: openssl rand -hex 32 > lake.key)"
            )
        if len(key) < MIN_KEY_BYTES:
            raise LakeError(f"The pseudonym key has {len(key)} bytes; it needs {MIN_KEY_BYTES}.")
        return key
