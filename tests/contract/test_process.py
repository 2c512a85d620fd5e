"""Section 13, and what survives: stops, restarts, kill -9, misspelt settings."""

from __future__ import annotations

from typing import Any

from tests.contract.desk import ADMIN, BOUNDARY_MS, Desk
from tests.e2e.venue import Host, write_recording


def serve(host: Host, desk: Desk | None = None) -> Desk:
    """A venue on the host's data, the first one or the next."""
    recording = host.folder / "calm.csv"
    if not recording.exists():
        write_recording(recording, BOUNDARY_MS - 2_500, [(n * 250, 9_000_000) for n in range(4 * 600)])
    settings = {"RAETH_ADMIN_TOKEN": ADMIN, "RAETH_SERIES__WINDOW_MS": "3600000"}
    venue = host.serve("--no-house", "--reference", f"replay:{recording}", **settings)
    if desk is None:
        desk = Desk(host, venue)
        desk.wait_open()
    else:
        desk.at(venue)
    return desk


def plain(order: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "replayed"}


def test_keys_orders_and_the_freeze_survive_stop_and_kill(host: Host) -> None:
    desk = serve(host)
    agent, other = desk.signup(), desk.signup()
    resting = agent.rests("BUY", 40, 10, client_order_id="rests")
    filled = other.sell(40, 4, client_order_id="filled")
    declined = other.sell(40, 0, client_order_id="declined")
    book, account = desk.book(), agent.account()
    desk.admin.post("/admin/freeze", {"reason": "maintenance"})
    for how in ("kill", "stop"):
        getattr(desk.venue, how)()
        serve(host, desk)
        assert desk.book() == book
        assert plain(agent.buy(40, 10, client_order_id="rests")) == plain(resting)
        assert plain(other.sell(40, 4, client_order_id="filled")) == plain(filled)
        assert plain(other.sell(40, 0, client_order_id="declined")) == plain(declined)
        other.post("/orders", other.body("SELL", 40, 5, client_order_id="filled"), "IDEMPOTENCY_CONFLICT")
        other.post("/orders", other.body("SELL", 40, 1), "EXCHANGE_FROZEN")
        now = agent.account()
        for name in ("cash_cents", "locked_cents", "open_orders", "frozen", "pending_pnl_cents"):
            assert now[name] == (True if name == "frozen" else account[name]), name
        assert agent.get("/orders/by-client-id/rests")["filled_qty"] == 4
        other.get("/orders/by-client-id/never", "ORDER_NOT_FOUND")
    desk.admin.post("/admin/unfreeze", {})
    assert other.sell(40, 6)["status"] == "FILLED"
    desk.venue.stop()
    audit = host.run("audit", "--data-dir", str(host.data_dir))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    for text in (audit.stdout, desk.venue.stderr, desk.venue.stdout):
        assert "rk_live_" not in text and ADMIN not in text


def test_a_misspelt_key_in_the_file_is_named(host: Host) -> None:
    for text, name in (("prot = 8000\n", "prot"), ("[risk]\nmax_order_quantity = 5\n", "max_order_quantity")):
        config = host.folder / "wrong.toml"
        config.write_text(text)
        refused = host.run("serve", "--port", "0", "--data-dir", str(host.data_dir), "--config", str(config))
        assert refused.returncode != 0 and name in refused.stderr + refused.stdout


def test_flag_beats_environment_beats_file(host: Host) -> None:
    config = host.folder / "venue.toml"
    config.write_text('data_dir = "from-file"\n[limits]\nwrites_per_minute = 11\nreads_per_minute = 12\n')
    flags = ("--no-house", "--config", str(config), "--data-dir", str(host.folder / "from-flag"))
    venue = host.launch(*flags, RAETH_DATA_DIR=str(host.folder / "from-env"), RAETH_LIMITS__WRITES_PER_MINUTE="22")
    venue.wait_ready()
    assert venue.get("/api/v1/meta/limits")["writes_per_minute"] == 22
    assert (host.folder / "from-flag").is_dir() and not (host.folder / "from-env").exists()
    token = host.folder / "from-flag" / "admin_token"
    assert token.stat().st_mode & 0o777 == 0o600
    secret = token.read_text().strip()
    assert secret.startswith("rk_admin_") and secret not in venue.stdout + venue.stderr
    venue.admin("GET", "/state", secret)
    venue.stop()


def test_another_kind_of_reference_is_refused(host: Host) -> None:
    desk = serve(host)
    desk.venue.stop()
    refused = host.run("serve", "--port", "0", "--data-dir", str(host.data_dir), "--no-house")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
