"""Every setting, in one list: type, default, help. The only reader of the environment; values are passed in from here.

Order of precedence: environment, `NAME_FILE` of a secret, `.env`, the older system's names, the default.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from leafloop.errors import ConfigurationInvalid

PREFIX = "LEAFLOOP_"
ONE_MIB = 1024 * 1024
# The test suite's own variables (LEAFLOOP_TEST_AXE, ...) are not settings, and no misspelt ones either.
_TESTS = PREFIX + "TEST_"


def _used_by(*components: str) -> dict[str, Any]:
    return {"used_by": list(components)}


class Settings(BaseModel):
    """What the service, the command line and the worker are told from outside. Each field is `LEAFLOOP_<NAME>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Annotated[Path, Field(description="Folder of everything that is kept", json_schema_extra=_used_by("all"))] = (
        Path("~/.leafloop")
    )
    host: Annotated[
        str,
        Field(
            description="Address to listen on; other than loopback needs a key first",
            json_schema_extra=_used_by("serve"),
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on", json_schema_extra=_used_by("serve"))
    ] = 8000
    public_url: Annotated[
        str | None,
        Field(
            description="Address that phones reach, as printed in QR codes", json_schema_extra=_used_by("keys", "serve")
        ),
    ] = None
    database_url: Annotated[
        SecretStr | None,
        Field(description="SQLAlchemy URL; default SQLite in the home folder", json_schema_extra=_used_by("all")),
    ] = None
    blobs_url: Annotated[
        str | None,
        Field(
            description="file:///folder or s3://bucket/prefix; default a folder in the home",
            json_schema_extra=_used_by("all"),
        ),
    ] = None
    taxonomy: Annotated[
        Path | None,
        Field(description="Taxonomy file; default the built-in banana set", json_schema_extra=_used_by("all")),
    ] = None
    secret_key: Annotated[
        SecretStr | None,
        Field(
            min_length=32,
            description="Signs page sessions; default a random one kept in the home folder",
            json_schema_extra=_used_by("serve"),
        ),
    ] = None
    bootstrap_key_file: Annotated[
        Path | None,
        Field(description="File with a first operator key for containers", json_schema_extra=_used_by("serve")),
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Field(description="Least level logged", json_schema_extra=_used_by("all")),
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "json", "human"],
        Field(description="auto: human on a terminal, else JSON", json_schema_extra=_used_by("all")),
    ] = "auto"
    max_upload_bytes: Annotated[
        int,
        Field(ge=ONE_MIB, description="Largest photo file, in bytes", json_schema_extra=_used_by("serve", "predict")),
    ] = 30 * ONE_MIB
    max_pixels: Annotated[
        int, Field(ge=1_000_000, description="Largest photo, in pixels", json_schema_extra=_used_by("serve", "predict"))
    ] = 60_000_000
    max_waiting: Annotated[
        int,
        Field(
            ge=1,
            description="Photos under way at once; beyond it 503 with Retry-After",
            json_schema_extra=_used_by("serve"),
        ),
    ] = 16
    rate_limit: Annotated[
        str, Field(description="Requests per key or address", json_schema_extra=_used_by("serve"))
    ] = "600/minute"
    predict_rate_limit: Annotated[
        str, Field(description="Photos per key or address", json_schema_extra=_used_by("serve"))
    ] = "120/minute"
    feedback_rate_limit: Annotated[
        str, Field(description="Words on answers per key or address", json_schema_extra=_used_by("serve"))
    ] = "120/minute"
    cors_origins: Annotated[
        str,
        Field(
            description="Comma-separated origins that may call the API from a browser",
            json_schema_extra=_used_by("serve"),
        ),
    ] = ""
    allowed_hosts: Annotated[
        str,
        Field(
            description="Comma-separated Host names answered; default: loopback names, the host and the public URL's",
            json_schema_extra=_used_by("serve"),
        ),
    ] = ""
    inference_threads: Annotated[
        int,
        Field(ge=0, description="CPU threads for the model; 0: all", json_schema_extra=_used_by("serve", "predict")),
    ] = 0
    precision: Annotated[
        Literal["auto", "bf16", "f32"],
        Field(description="auto: bf16 where the CPU has it", json_schema_extra=_used_by("serve", "predict")),
    ] = "auto"
    pointer_poll_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=60,
            description="How often a replica looks which model is live",
            json_schema_extra=_used_by("serve"),
        ),
    ] = 1.0
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="How long a service that was told to stop still answers, with /ready at 503, for load balancers to see it",
            json_schema_extra=_used_by("serve"),
        ),
    ] = 0.0
    session_hours: Annotated[
        int, Field(ge=1, le=24 * 90, description="How long a page login lasts", json_schema_extra=_used_by("serve"))
    ] = 24 * 14
    consent_required: Annotated[
        bool,
        Field(
            description="true: train only on photos whose sender agreed; false: on all but those whose sender refused",
            json_schema_extra=_used_by("data"),
        ),
    ] = False
    review_random_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of all answers that reviewers see whatever they are, so that the measured accuracy is honest",
            json_schema_extra=_used_by("serve", "predict"),
        ),
    ] = 0.05
    review_second_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of reviewed photos that a second reviewer judges blind",
            json_schema_extra=_used_by("serve"),
        ),
    ] = 0.05
    review_lease_minutes: Annotated[
        int,
        Field(
            ge=1, le=24 * 60, description="How long a reviewer has a photo in hand", json_schema_extra=_used_by("serve")
        ),
    ] = 10
    location_decimals: Annotated[
        int,
        Field(
            ge=0,
            le=6,
            description="Decimals of degrees that a position is rounded to before it is kept; 2: about 1 km",
            json_schema_extra=_used_by("serve", "predict"),
        ),
    ] = 2
    keep_photos_days: Annotated[
        int,
        Field(
            ge=0,
            description="Days after which photos and answers go that no label needs (daily, or by 'leafloop data purge'); 0: never",
            json_schema_extra=_used_by("serve", "data"),
        ),
    ] = 0
    keep_labels_days: Annotated[
        int,
        Field(
            ge=0,
            description="Days after which purge takes away labels that no snapshot holds; 0: never",
            json_schema_extra=_used_by("serve", "data"),
        ),
    ] = 0
    keep_feedback_days: Annotated[
        int,
        Field(
            ge=0,
            description="Days after which purge takes away words that their author replaced or withdrew; 0: with their answer",
            json_schema_extra=_used_by("serve", "data"),
        ),
    ] = 0
    keep_audit_days: Annotated[
        int,
        Field(
            ge=0,
            description="Days after which purge takes away audit entries (never those of a login still in force); 0: never",
            json_schema_extra=_used_by("serve", "data"),
        ),
    ] = 0

    trainer_python: Annotated[
        Path | None,
        Field(
            description="Interpreter with the training extra; default .venv-train/bin/python if there, else the running one",
            json_schema_extra=_used_by("demo"),
        ),
    ] = None

    @field_validator("home", "taxonomy", "bootstrap_key_file", "trainer_python")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("rate_limit", "predict_rate_limit", "feedback_rate_limit")
    @classmethod
    def _rate(cls, text: str) -> str:
        if not re.fullmatch(r"[1-9]\d*/(second|minute|hour|day)", text):
            raise ValueError("write it like 120/minute")
        return text

    @property
    def database(self) -> str:
        """The database URL in force, with its password: never log it."""
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.home / 'leafloop.db'}"

    @property
    def blobs(self) -> str:
        """The object store's URL in force."""
        return self.blobs_url or (self.home / "blobs").as_uri()

    @property
    def origins(self) -> tuple[str, ...]:
        return _split(self.cors_origins)

    @property
    def hosts(self) -> tuple[str, ...]:
        return _split(self.allowed_hosts)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def load(environ: Mapping[str, str] | None = None, *, dotenv: Path | None = Path(".env")) -> Settings:
    """Settings from the environment. Raises `ConfigurationInvalid` naming the variable, what is wrong and what to do."""
    environ = os.environ if environ is None else environ
    file = {k: v for k, v in dotenv_values(dotenv).items() if v is not None} if dotenv and dotenv.is_file() else {}
    names = {**file, **environ}
    _refuse_unknown(names)
    values = {**_older_names(names)}
    for field in Settings.model_fields:
        variable = PREFIX + field.upper()
        if (value := _value_of(variable, names)) is not None:
            values[field] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        variable = PREFIX + str(first["loc"][0]).upper()
        raise ConfigurationInvalid(f"{variable}: {first['msg']}. See docs/ENVIRONMENT.md.", variable=variable) from None


def is_secret(field: str) -> bool:
    """Whether a setting's value must never be shown."""
    return "SecretStr" in str(Settings.model_fields[field].annotation)


def _value_of(variable: str, names: Mapping[str, str]) -> str | None:
    if names.get(variable):  # an empty variable counts as not set, as compose files write it
        return names[variable]
    field = variable.removeprefix(PREFIX).lower()
    if is_secret(field) and (path := names.get(variable + "_FILE")):
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigurationInvalid(
                f"{variable}_FILE: {path} cannot be read ({error.strerror}).", variable=variable
            ) from None
    return None


def _refuse_unknown(names: Mapping[str, str]) -> None:
    known = {PREFIX + f.upper() for f in Settings.model_fields}
    known |= {PREFIX + f.upper() + "_FILE" for f in Settings.model_fields if is_secret(f)}
    for name in names:
        if name.startswith(PREFIX) and not name.startswith(_TESTS) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationInvalid(f"{name} is not a setting.{hint} See docs/ENVIRONMENT.md.", variable=name)


OLDER_NAMES: dict[str, str] = {
    "HOST": "LEAFLOOP_HOST",
    "PORT": "LEAFLOOP_PORT",
    "POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD": "LEAFLOOP_DATABASE_URL",
    "STORAGE_BUCKET": "LEAFLOOP_BLOBS_URL",
}


def _older_names(names: Mapping[str, str]) -> dict[str, str]:
    """What the older system's variables mean here. They count only where ours is not set."""
    found: dict[str, str] = {}
    if names.get("POSTGRES_HOST"):
        user, password = (
            quote(names.get("POSTGRES_USER", "postgres"), safe=""),
            quote(names.get("POSTGRES_PASSWORD", ""), safe=""),
        )
        place = (
            f"{names['POSTGRES_HOST']}:{names.get('POSTGRES_PORT') or 5432}/{names.get('POSTGRES_DB') or 'postgres'}"
        )
        found["database_url"] = f"postgresql+psycopg://{user}:{password}@{place}"
    if names.get("STORAGE_BUCKET"):
        found["blobs_url"] = f"s3://{names['STORAGE_BUCKET']}"
    for older, field in (("HOST", "host"), ("PORT", "port")):
        if names.get(older):
            found[field] = names[older]
    return found
