"""Settings: what an operator can turn, with bounds, defaults and names that cannot be misspelt unnoticed.

A value comes from a flag, else from `RAETH_…` in the environment, else from the TOML file, else from the
default here (contract, section 13). Every name is checked in the place it was written, so a typo stops the
process with one line that says where and what was probably meant. This module must not know what the
settings do: it hands out numbers and reads no other file, clock or socket.

    Exception
    └── ConfigError    the process cannot start; its text is one line for the operator

`python -m raeth.config` writes `config/venue.toml` anew from the descriptions here.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from raeth.config_sections import (
    ELSEWHERE,
    FaucetSettings,
    FeeSettings,
    LimitSettings,
    ReferenceSection,
    RiskSettings,
    SeriesSettings,
)
from raeth.liquidity.settings import HouseSettings

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_CONFIG = Path("config/venue.toml")

# In the data dir. Named here so that a command that only looks for a file need not load the server.
DATABASE = "raeth.db"
ADMIN_TOKEN_FILE = "admin_token"  # noqa: S105, the name of a file

PREFIX = "RAETH_"
OTHER_VARIABLES = frozenset({"RAETH_API_KEY", "RAETH_TEST_DATA", "RAETH_URL"})
"""Variables of the clients and the tests, which share the prefix but are no settings of the venue."""

SHORTHANDS = {"reference": "source", "house": "enabled"}
"""Sections that are also a flag: `RAETH_REFERENCE=live` means `reference.source`, `--no-house` `house.enabled`."""


class ConfigError(Exception):
    """The configuration cannot be used. The text is one line: where, which setting, what is wrong."""


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _public_host(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?", text):
        return text.lower()
    raise ValueError("must be a name, such as arena.example, with or without a port")


def _admin_token(token: SecretStr) -> SecretStr:
    if not re.fullmatch(r"rk_admin_[A-Za-z0-9_-]+", token.get_secret_value()):
        raise ValueError("must be rk_admin_ followed by letters, digits, _ or -; take at least 32 random ones")
    return token


class Settings(BaseSettings):
    """Everything an operator can set. `Settings()` is exactly the defaults; `load_settings` reads the world."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("data"), description="Holds the SQLite journal and everything else the venue keeps.")
    database_url: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        repr=False,
        examples=["postgresql://raeth@localhost/raeth"],
        description="postgresql://… puts journal and tables there; absent: SQLite in the data dir.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes on this machine, all equal. On SQLite a stopped one stalls the others."
    )
    budgets_url: str | None = Field(
        None,
        pattern=r"^redis(s)?://",
        repr=False,
        examples=["redis://localhost:6379/0"],
        description="redis://… keeps one count of budgets for all processes; absent: each process counts its own.",
    )
    node: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
        examples=["arena-1"],
        description="What /health calls this node; absent: the machine's name and the number of the process.",
    )
    speed: float = Field(
        1.0, gt=0, le=10_000, allow_inf_nan=False, description="Recorded seconds per real second; with replay only."
    )
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[], description="Networks (CIDR) whose X-Forwarded-For counts."
    )
    public_hosts: list[Annotated[str, AfterValidator(_public_host)]] = Field(
        default=[], description="Names the venue is reached by from outside; /mcp/ answers to these and local ones."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error."
    )

    risk: RiskSettings = RiskSettings()
    fees: FeeSettings = FeeSettings()
    series: SeriesSettings = SeriesSettings()
    reference: ReferenceSection = ReferenceSection()
    faucet: FaucetSettings = FaucetSettings()
    limits: LimitSettings = LimitSettings()
    house: HouseSettings = HouseSettings()

    config: Path | None = Field(None, exclude=True)
    """The file that was read, if any."""
    admin_token: Annotated[SecretStr, AfterValidator(_admin_token)] | None = Field(None, exclude=True)
    """From `RAETH_ADMIN_TOKEN`; None lets the venue keep one in the data dir."""

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.speed != 1 and not self.reference.source.startswith("replay:"):
            raise ValueError("speed: needs reference replay:FILE, real time has one speed")
        if self.workers > 1 and self.reference.source.startswith("replay:"):
            raise ValueError("workers: recorded time belongs to one process, so with reference replay:FILE only 1")
        if self.database_url is not None and self.reference.source.startswith("replay:"):
            raise ValueError("database_url: PostgreSQL has a clock of its own, so reference replay:FILE needs SQLite")
        shared = {name: getattr(getattr(self, home), name) for name, home in ELSEWHERE.items()}
        object.__setattr__(self, "reference", self.reference.model_copy(update=shared))  # frozen for everybody else
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # the world comes in through load_settings only


NOT_IN_FILES = frozenset({"config", "admin_token"})


def load_settings(config_path: Path | str | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force: `overrides` (the flags; None means not given) over environment over file over defaults.

    Without `config_path` the file is `RAETH_CONFIG`, else `config/venue.toml` here or in the project, if there
    is one. Raises `ConfigError` for an unreadable file, an unknown name in any place, or a value out of bounds.
    """
    path = _config_file(config_path)
    layers: list[tuple[str, dict[str, Any]]] = [
        (str(path), _read_file(path) if path else {}),
        ("the environment", _read_environment()),
        ("the command line", _named("the command line", _expand(_given(overrides or {})))),
    ]
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _merge(merged, layer)
    try:
        return Settings.model_validate({**merged, "config": path})
    except ValidationError as error:
        raise ConfigError(_first_fault(error, layers)) from None


def _config_file(config_path: Path | str | None) -> Path | None:
    named = config_path or os.environ.get(PREFIX + "CONFIG")
    if named:
        return Path(named)
    return next((path for path in (DEFAULT_CONFIG, ROOT / DEFAULT_CONFIG) if path.is_file()), None)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {' '.join(str(error).split())}") from None
    for name in NOT_IN_FILES & data.keys():
        raise ConfigError(f"{path}: {name}: is not set in a file, only as {PREFIX}{name.upper()} in the environment")
    return _named(str(path), _expand(data))


class _Environment(EnvSettingsSource):
    """The library's reader, which also takes `a,b` for a list and a plain word for a section that is a flag."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            if field_name in SHORTHANDS:
                return {SHORTHANDS[field_name]: value}
            if typing.get_origin(field.annotation) is list:
                return [part.strip() for part in value.split(",") if part.strip()]
        return super().decode_complex_value(field_name, field, value)


def _read_environment() -> dict[str, Any]:
    for name in os.environ:
        if not name.upper().startswith(PREFIX) or name.upper() in OTHER_VARIABLES:
            continue
        path = name[len(PREFIX) :].lower().split("__")
        if _unknown(path) is not None:
            known = [PREFIX + "__".join(parts).upper() for parts, _ in _leaves(Settings)]
            raise ConfigError(f"the environment: {name}: no such setting{_meant(name.upper(), known)}")
    if os.environ.get(PREFIX + "DATABASE_URL") == "":
        # What was to print the address has failed: a venue in a file of its own is not what was meant.
        raise ConfigError(f"the environment: {PREFIX}DATABASE_URL is empty; leave it out for SQLite in the data dir")
    try:
        return {name: value for name, value in _Environment(Settings)().items() if name != "config"}
    except ValueError as error:
        reason = error.__cause__ or error
        raise ConfigError(f"the environment: {' '.join(str(error).split())}: {reason}") from None


def _expand(data: Mapping[str, Any]) -> dict[str, Any]:
    """`reference = "live"` as `reference.source = "live"`, so that layers merge."""
    expanded = dict(data)
    for section, field in SHORTHANDS.items():
        if section in expanded and not isinstance(expanded[section], Mapping):
            expanded[section] = {field: expanded[section]}
    return expanded


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    given = {
        name: _given(value) if isinstance(value, Mapping) else value
        for name, value in overrides.items()
        if value is not None
    }
    return {name: value for name, value in given.items() if value != {}}


def _merge(lower: dict[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for name, value in upper.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        section = _section_of(field)
        if section is None:
            yield (*path, name), field
        else:
            yield from _leaves(section, (*path, name))


def _unknown(path: list[str]) -> tuple[str, list[str]] | None:
    """The first part of `path` that names nothing, and what it could have been; None when all is known."""
    model: type[BaseModel] | None = Settings
    for part in path:
        if model is None:
            return part, []
        if part not in model.model_fields:
            return part, [name for name in model.model_fields if name not in NOT_IN_FILES]
        field = model.model_fields[part]
        if typing.get_origin(field.annotation) is dict:
            return None  # its names are the operator's, such as those of reference.urls
        model = _section_of(field)
    return None


def _named(origin: str, data: dict[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """`data`, once every name in it is known. Raises `ConfigError` with the place and the nearest name."""
    for name, value in data.items():
        here = (*path, name)
        if (fault := _unknown(list(here))) is not None:
            raise ConfigError(f"{origin}: {'.'.join(here)}: no such setting{_meant(name, fault[1])}")
        if isinstance(value, Mapping):
            _named(origin, dict(value), here)
    return data


def _meant(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _first_fault(error: ValidationError, layers: list[tuple[str, dict[str, Any]]]) -> str:
    """One line for the first fault, with the layer that set the value. The value itself is never shown."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    loc, text = faults[0]["loc"], faults[0]["msg"].removeprefix("Value error, ")
    origin = next((origin for origin, layer in reversed(layers) if _has(layer, loc)), "settings")
    where = ".".join(str(part) for part in loc)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ": ".join(part for part in (origin, where, " ".join(text.split())) if part) + more


def _has(layer: Any, loc: tuple[int | str, ...]) -> bool:
    for part in loc:
        if not isinstance(layer, Mapping):
            return True
        if part not in layer:
            return False
        layer = layer[part]
    return bool(loc)


_FILE_HEAD = """\
# The settings of a raeth venue, each with its default. Written by `python -m raeth.config`.
#
# A flag beats RAETH_… in the environment, which beats this file. In the environment a section and its setting
# join with two underscores: RAETH_LIMITS__WRITES_PER_MINUTE=1200. RAETH_REFERENCE=live is short for
# RAETH_REFERENCE__SOURCE, RAETH_HOUSE=false for RAETH_HOUSE__ENABLED. A misspelt name stops the process.
#
# Names carry units: _ms milliseconds, _cents US cents, _bps basis points (1/10 000).
# The operator's token is never written here: set RAETH_ADMIN_TOKEN, or let the venue keep one in its data dir.
"""


def as_toml() -> str:
    """`config/venue.toml`: every setting with its default, its bounds and what it is for."""
    lines = [_FILE_HEAD]
    sections = []
    for name, field in Settings.model_fields.items():
        if (section := _section_of(field)) is not None:
            sections.append((name, section))
        elif name not in NOT_IN_FILES:
            lines += _setting_lines(name, field)
    for name, section in sections:
        about = re.sub(r" \(contract, section \d+\)", "", (section.__doc__ or "").strip().splitlines()[0])
        lines += ["", f"# {about}", f"[{name}]"]
        for inner, inner_field in section.model_fields.items():
            if not inner_field.exclude:
                lines += _setting_lines(inner, inner_field)
    return "\n".join(lines) + "\n"


_UNDESCRIBED = {
    "venues": "Venues the live source listens to.",
    "reconnect_min_ms": "First pause before a lost socket is reopened; it doubles each time …",
    "reconnect_max_ms": "… up to this.",
}


def _number(value: float) -> str:
    return f"{value:_}" if value >= 10_000 else str(value)


def _setting_lines(name: str, field: FieldInfo) -> list[str]:
    """The comment and the line of one setting; a setting without a default is commented out, with an example."""
    bounds = {
        kind: getattr(mark, kind) for mark in field.metadata for kind in ("ge", "gt", "le") if hasattr(mark, kind)
    }
    low = f"above {_number(bounds['gt'])}" if "gt" in bounds else _number(bounds.get("ge", 0))
    limits = f"[{low} to {_number(bounds['le'])}]" if "le" in bounds else ""
    comment = " ".join(part for part in (field.description or _UNDESCRIBED[name], limits) if part)
    default = field.get_default(call_default_factory=True)
    if default is None:
        return [f"# {comment}", f"# {name} = {json.dumps((field.examples or [''])[0])}"]
    if isinstance(default, int) and not isinstance(default, bool):
        return [f"# {comment}", f"{name} = {_number(default)}"]
    value = "{}" if default == {} else json.dumps(str(default) if isinstance(default, Path) else default)
    return [f"# {comment}", f"{name} = {value}"]


if __name__ == "__main__":
    (ROOT / DEFAULT_CONFIG).write_text(as_toml(), "utf-8")
