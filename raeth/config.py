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

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from raeth.liquidity.settings import HouseSettings
from raeth.reference.settings import ReferenceSettings

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


class Section(BaseModel):
    """A table of the file. Unknown names are errors; a built section never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Cents = Annotated[int, Field(ge=0, le=10**12)]
CapCents = Annotated[int, Field(ge=1, le=10**12)]
Contracts = Annotated[int, Field(ge=1, le=10_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Budget = Annotated[int, Field(ge=1, le=100_000_000)]
Bps = Annotated[int, Field(ge=0, le=10_000)]
Ms = Annotated[int, Field(ge=1, le=86_400_000)]
WaitMs = Annotated[int, Field(ge=0, le=86_400_000)]


class RiskSettings(Section):
    """The risk chain (contract, section 5). Contracts, cents of the YES price, cents, milliseconds of venue time."""

    max_order_qty: Contracts = Field(2_000, description="Contracts in one order; above it: FAT_FINGER.")
    max_order_notional_cents: CapCents = Field(200_000, description="Price times contracts of one order, in cents.")
    fat_finger_distance: int = Field(20, ge=0, le=99, description="Cents beyond the mark that an order may reach …")
    fat_finger_multiple: int = Field(5, ge=1, le=99, description="… or this multiple of the mark, whichever is wider.")
    position_cap: Contracts = Field(5_000, description="Contracts an agent may hold or be about to hold in a market.")
    cooldown_rejects: Count = Field(20, description="Declines of one agent, market and side that lock the side …")
    cooldown_window_ms: Ms = Field(10_000, description="… when they fall within this time …")
    cooldown_ms: Ms = Field(5_000, description="… for this long.")
    reference_max_age_ms: int = Field(
        3_000, ge=1, le=600_000, description="MARKET orders need a reference price younger than this."
    )


class FeeSettings(Section):
    """Fees (contract, section 8) in basis points, 1/10 000."""

    taker_rate_bps: Bps = Field(
        700, description="Taker fee: this rate times p(1 - p) a contract, p the price in dollars."
    )
    maker_rebate_bps: Bps = Field(2_500, description="Share of the taker's fee that goes to the maker.")


class SeriesSettings(Section):
    """Windows and prints (contract, section 7), in milliseconds of venue time."""

    slug: str = Field(
        "BTC-1M", pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}$", description="Name of the series, in every symbol."
    )
    window_ms: int = Field(
        60_000, ge=1_000, le=86_400_000, description="Length of a window; a day must be a whole number of them."
    )
    tie_rule: Literal["VOID", "YES", "NO"] = Field(
        "VOID", description="Outcome when close equals open: VOID, YES or NO."
    )
    print_max_age_ms: int = Field(
        5_000, ge=1, le=60_000, description="A print may be at most this old at its boundary."
    )
    print_grace_ms: WaitMs = Field(
        5_000, description="No usable print this long after the boundary: the window is VOID."
    )
    gap_ms: Ms = Field(
        5_000, description="A longer gap in the venue's time voids the windows whose boundary it covers."
    )

    @model_validator(mode="after")
    def _a_day_is_whole_windows(self) -> SeriesSettings:
        if 86_400_000 % self.window_ms:
            raise ValueError("window_ms: must divide a day (86400000)")
        return self


def _known_source(source: str) -> str:
    if source in ("simulated", "live") or re.fullmatch(r"replay:.+", source):
        return source
    raise ValueError("must be simulated, live or replay:FILE")


class ReferenceSection(ReferenceSettings):
    """Where the Bitcoin price comes from. Ages and delays in milliseconds, prices in cents, shares in basis points.

    The last three are filled in from `[risk]` and `[series]`, where they are set: one setting, one place.
    """

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, AfterValidator(_known_source)] = Field(
        "simulated", description="simulated, live, or replay:FILE (CSV or recorded frames, either may be gzipped)."
    )
    reference_max_age_ms: int = Field(3_000, exclude=True)
    print_max_age_ms: int = Field(5_000, exclude=True)
    print_grace_ms: int = Field(5_000, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _set_elsewhere(cls, data: Any) -> Any:
        for name, home in _ELSEWHERE.items():
            if isinstance(data, Mapping) and name in data:
                raise ValueError(f"{name}: set it as {home}.{name}")
        return data


_ELSEWHERE = {"reference_max_age_ms": "risk", "print_max_age_ms": "series", "print_grace_ms": "series"}


class FaucetSettings(Section):
    """Test cash, in cents; times in milliseconds of venue time. Caps are per account."""

    enabled: bool = Field(True, description="Whether there is a faucet; without one claims answer FEATURE_DISABLED.")
    signup_grant_cents: Cents = Field(100_000, description="Cash a new account's first agent starts with.")
    amount_cents: CapCents = Field(10_000, description="Cash of one claim.")
    cooldown_ms: WaitMs = Field(60_000, description="Time between two claims of one account.")
    account_cap_cents: Cents = Field(500_000, description="Sum of all claims of one account.")


class LimitSettings(Section):
    """Budgets and maxima (contract, section 12). Budgets run in real time."""

    writes_per_minute: Budget = Field(600, description="Writes of an agent; a batch costs one an order.")
    cancels_per_minute: Budget = Field(600, description="Cancels of an agent, a budget of their own.")
    reads_per_minute: Budget = Field(6_000, description="Reads of an agent; previews are reads.")
    anonymous_reads_per_minute: Budget = Field(600, description="Reads of an address without a key.")
    signups_per_minute: Budget = Field(10, description="Signups and logins of an address.")
    signups_per_day: Budget | None = Field(
        None, examples=[50], description="Signups of an address a day; absent: no daily cap."
    )
    open_orders_per_market: Count = Field(200, description="Resting orders of an agent in one market.")
    batch_size: int = Field(15, ge=1, le=1_000, description="Orders in one batch.")
    cancel_list: int = Field(100, ge=1, le=10_000, description="Ids in one cancel.")
    quote_levels: int = Field(20, ge=1, le=99, description="Levels a side in one quote.")
    body_bytes: int = Field(65_536, ge=1_024, le=16_777_216, description="Bytes of a request body.")
    body_deadline_ms: int = Field(10_000, ge=100, le=600_000, description="Time a request body may take to arrive.")
    agents_per_account: int = Field(10, ge=1, le=10_000, description="Agents of one account.")
    keys_per_agent: int = Field(20, ge=1, le=10_000, description="Live keys of one agent.")
    sockets_per_agent: int = Field(6, ge=1, le=10_000, description="Open streams of one agent, sockets and SSE.")
    sockets_per_key: int = Field(3, ge=1, le=10_000, description="Open streams of one key.")
    sockets_per_address: int = Field(256, ge=1, le=100_000, description="Open streams of one address.")
    subscriptions_per_socket: int = Field(128, ge=1, le=10_000, description="Channels of one stream.")
    control_messages_per_minute: Budget = Field(
        120, description="Messages of one socket that are not order entry: subscribe, unsubscribe, authenticate, ping."
    )
    frame_bytes: int = Field(16_384, ge=1_024, le=1_048_576, description="Bytes of a frame a socket may send.")
    unread_bytes: int = Field(
        1_048_576, ge=65_536, le=268_435_456, description="Bytes a stream's reader may be behind before it is cut off."
    )
    book_interval_ms: int = Field(
        30, ge=0, le=1_000, description="Changes of a book within this real time are one delta of its channel."
    )


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
    workers: int = Field(1, ge=1, le=64, description="Processes on this machine, all equal.")
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
        shared = {name: getattr(getattr(self, home), name) for name, home in _ELSEWHERE.items()}
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
