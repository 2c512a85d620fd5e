"""Precedence, names that cannot be misspelt unnoticed, bounds, and files that match the code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from raeth import config
from raeth.config import ROOT, ConfigError, Settings, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("RAETH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(text, "utf-8")
    return path


def fault(path: Path | None = None, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, overrides)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300
    return text


def same(settings: Settings, other: Settings) -> bool:
    return settings.model_dump() == other.model_dump()


# ---- the committed files ----


def test_venue_toml_is_generated_and_equals_the_defaults() -> None:
    path = ROOT / "config" / "venue.toml"
    assert path.read_text("utf-8") == config.as_toml(), "run python -m raeth.config"
    assert same(load_settings(path), Settings())


def test_venue_toml_names_every_setting_with_a_comment() -> None:
    lines = config.as_toml().splitlines()
    for (*_, name), field in config._leaves(Settings):
        if name in config.NOT_IN_FILES or field.exclude:
            continue
        places = [at for at, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name} = ")]
        assert places, name
        assert all(lines[at - 1].startswith("# ") and len(lines[at - 1]) > 10 for at in places), name


def test_arena_toml_loads_and_guards_the_door() -> None:
    settings = load_settings(ROOT / "config" / "arena.toml")
    assert settings.limits.signups_per_day is not None
    assert settings.reference.source == "live"
    assert settings.trusted_proxies


def test_the_defaults_of_the_contract() -> None:
    s = Settings()
    assert (s.host, s.port, s.data_dir, s.workers, s.speed) == ("127.0.0.1", 8000, Path("data"), 1, 1.0)
    assert (s.database_url, s.reference.source, s.house.enabled) == (None, "simulated", True)
    assert (s.risk.fat_finger_distance, s.risk.fat_finger_multiple) == (20, 5)
    assert (s.fees.taker_rate_bps, s.fees.maker_rebate_bps) == (700, 2500)
    assert (s.series.gap_ms, s.series.tie_rule) == (5000, "VOID")
    assert (s.limits.writes_per_minute, s.limits.reads_per_minute, s.limits.cancels_per_minute) == (600, 6000, 600)
    assert (s.limits.batch_size, s.limits.cancel_list, s.limits.body_bytes) == (15, 100, 65_536)


# ---- precedence ----


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(
        tmp_path, "port = 1111\nworkers = 2\nhost = '::1'\n[limits]\nwrites_per_minute = 1\nbatch_size = 2\n"
    )
    monkeypatch.setenv("RAETH_PORT", "2222")
    monkeypatch.setenv("RAETH_WORKERS", "3")
    monkeypatch.setenv("RAETH_LIMITS__WRITES_PER_MINUTE", "7")
    settings = load_settings(path, {"port": 3333, "workers": None})
    assert (settings.port, settings.workers, settings.host) == (3333, 3, "::1")
    assert (settings.limits.writes_per_minute, settings.limits.batch_size, settings.limits.cancel_list) == (7, 2, 100)
    assert settings.config == path


def test_the_file_comes_from_the_environment_or_the_default_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "venue.toml").write_text("port = 1234\n", "utf-8")
    assert load_settings().port == 1234
    monkeypatch.setenv("RAETH_CONFIG", str(written(tmp_path, "port = 4321\n")))
    assert load_settings().port == 4321


def test_flags_that_are_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "[reference]\nsource = 'live'\nseed = 3\n[house]\nenabled = true\n")
    monkeypatch.setenv("RAETH_REFERENCE", "replay:prices.csv")
    monkeypatch.setenv("RAETH_REFERENCE__QUORUM", "2")
    monkeypatch.setenv("RAETH_HOUSE", "false")
    settings = load_settings(path)
    assert (settings.reference.source, settings.reference.seed, settings.reference.quorum) == (
        "replay:prices.csv",
        3,
        2,
    )
    assert settings.house.enabled is False
    settings = load_settings(path, {"reference": "simulated", "house": True})
    assert (settings.reference.source, settings.reference.seed, settings.house.enabled) == ("simulated", 3, True)
    assert load_settings(written(tmp_path, "reference = 'live'\nhouse = false\n"), {}).house.enabled is False


def test_lists_in_the_environment_are_commas_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAETH_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("RAETH_REFERENCE__VENUES", '["kraken","gemini","coinbase"]')
    settings = load_settings()
    assert settings.trusted_proxies == ["10.0.0.0/8", "::1/128"]
    assert settings.reference.venues == ["kraken", "gemini", "coinbase"]
    monkeypatch.setenv("RAETH_REFERENCE__VENUES", "kraken,gemini,bitstamp")
    assert load_settings().reference.venues == ["kraken", "gemini", "bitstamp"]


def test_one_setting_has_one_place(tmp_path: Path) -> None:
    path = written(
        tmp_path, "[risk]\nreference_max_age_ms = 1000\n[series]\nprint_grace_ms = 1\nprint_max_age_ms = 2\n"
    )
    reference = load_settings(path).reference
    assert (reference.reference_max_age_ms, reference.print_grace_ms, reference.print_max_age_ms) == (1000, 1, 2)
    assert "risk.reference_max_age_ms" in fault(written(tmp_path, "[reference]\nreference_max_age_ms = 5\n"))


def test_settings_survive_a_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAETH_ADMIN_TOKEN", "rk_admin_abc")
    settings = load_settings(None, {"port": 1, "risk": {"reference_max_age_ms": 9}})
    dumped = settings.model_dump_json()
    assert "rk_admin" not in dumped + repr(settings) + str(settings)
    again = Settings.model_validate_json(dumped)
    assert same(again, settings) and again.reference.reference_max_age_ms == 9


# ---- names ----


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("prot = 1", ["some.toml", "prot", "did you mean port?"]),
        ("[risk]\nmax_ordr_qty = 1", ["some.toml", "risk.max_ordr_qty", "did you mean max_order_qty?"]),
        ("[rsk]\nmax_order_qty = 1", ["rsk", "did you mean risk?"]),
        ("zzzz = 1", ["zzzz: no such setting"]),
        ("admin_token = 'rk_admin_x'", ["admin_token", "RAETH_ADMIN_TOKEN"]),
        ("config = 'x'", ["config"]),
        ("port = ", ["some.toml", "not valid TOML"]),
        ("port = 70000", ["some.toml", "port", "65535"]),
        ("[fees]\ntaker_rate_bps = -1", ["some.toml", "fees.taker_rate_bps"]),
        ("[series]\nwindow_ms = 7000", ["series", "window_ms", "divide a day"]),
        ("[reference]\nsource = 'liev'", ["reference.source", "simulated, live or replay:FILE"]),
        ("reference = 'replay:'", ["reference.source"]),
        ("speed = 30", ["speed", "replay:FILE"]),
        ("risk = 5", ["risk"]),
        ("database_url = 'mysql://x'", ["database_url"]),
        ("trusted_proxies = ['10.0.0.1/8']", ["trusted_proxies.0", "host bits"]),
        ("[limits]\nwrites_per_minute = 1.5", ["limits.writes_per_minute"]),
    ],
)
def test_faults_in_a_file_are_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    told = fault(written(tmp_path, text))
    assert all(part in told for part in parts), told


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("RAETH_PROT", "1", ["RAETH_PROT", "did you mean RAETH_PORT?"]),
        ("RAETH_LIMITS__WRITES_PER_MINTUE", "1", ["did you mean RAETH_LIMITS__WRITES_PER_MINUTE?"]),
        ("RAETH_LIMITS_WRITES_PER_MINUTE", "1", ["did you mean RAETH_LIMITS__WRITES_PER_MINUTE?"]),
        ("RAETH_PORT__X", "1", ["RAETH_PORT__X"]),
        ("RAETH_PORT", "many", ["the environment", "port", "integer"]),
        ("RAETH_HOUSE", "perhaps", ["the environment", "house.enabled"]),
        ("RAETH_LIMITS", "5", ["the environment"]),
        ("RAETH_LIMITS", "[", ["the environment", "limits"]),
        ("RAETH_REFERENCE", "nowhere", ["reference.source"]),
    ],
)
def test_faults_in_the_environment_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, parts: list[str]
) -> None:
    monkeypatch.setenv(name, value)
    told = fault()
    assert all(part in told for part in parts), told


def test_a_bad_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAETH_ADMIN_TOKEN", "hunter2")
    assert "hunter2" not in fault()


def test_variables_of_clients_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAETH_API_KEY", "rk_live_x")
    monkeypatch.setenv("RAETH_ADMIN_TOKEN", "")
    assert load_settings().admin_token is None


def test_faults_in_flags_are_named() -> None:
    assert "command line: prot" in fault(None, {"prot": 1})
    assert "command line: workers" in fault(None, {"workers": 0})


def test_a_missing_file_is_an_error_only_when_named(tmp_path: Path) -> None:
    assert "absent.toml: cannot be read" in fault(tmp_path / "absent.toml")
    assert "cannot be read" in fault(tmp_path)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1
    with pytest.raises(ValidationError):
        Settings().risk.position_cap = 1


@pytest.mark.parametrize(
    ("more", "named"), [({"workers": 2}, "workers"), ({"database_url": "postgresql://db/raeth"}, "database_url")]
)
def test_recorded_time_belongs_to_one_process(more: dict[str, Any], named: str) -> None:
    recorded = {"reference": {"source": "replay:some.csv"}}
    assert load_settings(overrides=recorded).workers == 1
    assert named in fault(overrides={**recorded, **more})


@pytest.mark.parametrize(("url", "good"), [("redis://h:6379/0", True), ("rediss://h", True), ("http://h", False)])
def test_the_shared_count_of_budgets_is_a_redis(url: str, good: bool) -> None:
    if good:
        assert load_settings(overrides={"budgets_url": url}).budgets_url == url
    else:
        assert "budgets_url" in fault(overrides={"budgets_url": url})


def test_an_empty_database_address_is_not_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$(./scripts/database)` that failed leaves it empty."""
    monkeypatch.setenv("RAETH_DATABASE_URL", "")
    with pytest.raises(ConfigError, match="RAETH_DATABASE_URL is empty"):
        load_settings()
