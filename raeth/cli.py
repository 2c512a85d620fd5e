"""The command line. Imports late, so that `--help` is quick; every command is thin.

Exit codes: 0 done, 1 it failed (one line on stderr says why), 2 wrong usage or configuration.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from raeth.commands.bot import bot
from raeth.commands.journal import journal
from raeth.commands.watch import watch

if TYPE_CHECKING:
    from raeth.config import Settings
    from raeth.server import Ready

app = typer.Typer(
    name="raeth",
    help="An agent-first exchange for binary options on one-minute Bitcoin windows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
admin = typer.Typer(help="Operate a running venue: the admin token comes from RAETH_ADMIN_TOKEN or the data dir.")
reference = typer.Typer(help="The Bitcoin reference price.")
app.add_typer(admin, name="admin", no_args_is_help=True)
app.add_typer(reference, name="reference", no_args_is_help=True)
app.add_typer(journal, name="journal", no_args_is_help=True)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

DataDir = Annotated[Path | None, typer.Option(help="Where the venue keeps everything. Default: as the settings say.")]
Url = Annotated[str, typer.Option(envvar="RAETH_URL", help="The venue's address.")]


def fail(message: str, code: int = 1) -> typer.Exit:
    err.print(f"raeth: {message}", style="red", markup=False)
    return typer.Exit(code)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. Default 8000")] = None,
    data_dir: DataDir = None,
    database_url: Annotated[str | None, typer.Option(help="postgresql://… for journal and tables.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine. Default 1")] = None,
    budgets_url: Annotated[str | None, typer.Option(help="redis://… for one count of budgets over all nodes.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file. Default config/venue.toml")] = None,
    reference: Annotated[str | None, typer.Option(help="simulated (default), live, or replay:FILE")] = None,
    speed: Annotated[float | None, typer.Option(help="With replay: recorded seconds per real second.")] = None,
    house: Annotated[bool | None, typer.Option("--house/--no-house", help="The house market maker.")] = None,
    adopt_config: Annotated[
        bool, typer.Option("--adopt-config", help="Put changed rules in force from the next listed window on.")
    ] = False,
) -> None:
    """Run the venue until SIGTERM or Ctrl-C."""
    # Importing takes a second; whoever changes their mind meanwhile gets an ordinary end as well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    from raeth.config import ConfigError, load_settings

    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "database_url": database_url,
        "workers": workers,
        "budgets_url": budgets_url,
        "reference": reference,
        "speed": speed,
        "house": house,
    }
    try:
        settings = load_settings(config, flags)
        if settings.budgets_url is not None:
            from raeth.api.shared_budgets import check_url

            check_url(settings.budgets_url)
    except ConfigError as error:
        raise fail(str(error), 2) from None
    from raeth.logs import configure_logging

    configure_logging(settings.log_level)
    import uvloop

    from raeth.journal.base import JournalUnavailable
    from raeth.reference.types import SourceError
    from raeth.server import CannotServe, serve_workers
    from raeth.server import serve as serve_alone

    def told(ready: Ready) -> None:
        announce(settings, ready)

    run = serve_alone if settings.workers == 1 else serve_workers
    code: int | None = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(run(settings, adopt=adopt_config, announce=told))
    except asyncio.CancelledError:
        raise typer.Exit(0) from None  # told to stop before it had begun
    except (CannotServe, SourceError, JournalUnavailable) as error:
        raise fail(str(error)) from None
    if code:
        raise typer.Exit(code)


def program() -> str:
    """This program as the reader can type it: it is seldom on the PATH."""
    path = Path(sys.argv[0])
    if not path.is_absolute():
        return str(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def announce(settings: Settings, ready: Ready) -> None:
    """The one line that says orders are taken, then what a newcomer does next."""
    from raeth import __version__

    url = ready.url
    kind = f"{ready.reference} (synthetic)" if ready.synthetic else ready.reference
    print(f"ready {url} raeth {__version__}, reference {kind}, seq {ready.seq}", flush=True)
    lines = [
        f"  status   {url}/status",
        f"  API      {url}/docs   {url}/openapi.json",
        "  sign up  curl -s " + url + '/api/v1/auth/signup -d \'{"email":"you@example.com","agent_name":"my-first"}\'',
        f"  markets  curl -s '{url}/api/v1/markets?status=OPEN'",
        f'  cash     curl -s -X POST {url}/api/v1/faucet -H "Authorization: Bearer $KEY"',
        *_admin_lines(settings, ready),
    ]
    if ready.has_page:
        lines.insert(0, f"  watch    {url}/   in a browser: the price against the strike, the book, who leads")
    if ready.pending is not None:
        lines.insert(
            0,
            f"The first window, {ready.pending}, opens in {ready.opens_in_s:.0f} s; until then it is only listed.",
        )
    if settings.house.enabled:
        lines.append(f"  house    a labelled market maker quotes every window; its rules: {url}/api/v1/liquidity")
    if settings.workers > 1:
        lines.append(f"  workers  {settings.workers} processes answer here, all equal; each counts its own metrics")
    if settings.database_url is not None:
        lines.append(
            f"  node     {ready.node}, one of any number: start another with this --database-url, and a --data-dir and"
        )
        lines.append("           --port of its own; what each one does: /health")
    for line in lines:
        out.print(line, markup=False)


def _admin_lines(settings: Settings, ready: Ready) -> list[str]:
    if ready.admin_token_path is not None:
        try_it = f"{program()} admin state --url {ready.url} --data-dir {settings.data_dir}"
        return [f"  admin    token in {ready.admin_token_path}; try: {try_it}"]
    if settings.admin_token is None:
        return ["  admin    the token is in the data dir of the node that was first: admin_token"]
    return []


def _data_dir(named: Path | None) -> Path:
    """Where the venue keeps its data: as named, else as the settings say, which `serve` reads as well."""
    if named is not None:
        return named
    from raeth.config import ConfigError, load_settings

    try:
        return load_settings().data_dir
    except ConfigError as error:
        raise fail(str(error), 2) from None


def _database_url(named: str | None, data_dir: Path | None) -> str | None:
    """The PostgreSQL to use: as named, else as the settings say, unless a data dir is named. None: SQLite."""
    if named is not None or data_dir is not None:
        return named
    from raeth.config import ConfigError, load_settings

    try:
        return load_settings().database_url
    except ConfigError as error:
        raise fail(str(error), 2) from None


@app.command()
def audit(
    data_dir: DataDir = None,
    database_url: Annotated[str | None, typer.Option(help="postgresql://…, if the journal is there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Re-execute the whole journal and prove hashes, events, money and tables. Exit 1 names the first wrong seq."""
    from raeth.audit import AuditFailed, audit_file, audit_url
    from raeth.config import DATABASE

    url = _database_url(database_url, data_dir)
    path = Path() if url is not None else _data_dir(data_dir) / DATABASE
    if url is None and not path.is_file():
        raise fail(f"there is no journal at {path}", 2)
    try:
        report = audit_file(path) if url is None else audit_url(url)
    except AuditFailed as error:
        if as_json:
            print(json.dumps({"ok": False, "seq": error.seq, "why": error.why}))
        raise fail(f"audit failed at seq {error.seq}: {error.why}") from None
    if as_json:
        print(json.dumps({"ok": True, **report.as_dict()}))
        return
    from rich.table import Table

    table = Table(title="audit clean", title_style="bold green", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in report.lines():
        table.add_row(name, value)
    out.print(table)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(help="A directory that is not there yet; it can be served as it is.")],
    data_dir: DataDir = None,
    database_url: Annotated[str | None, typer.Option(help="postgresql://…: says what to do there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was copied as JSON.")] = False,
) -> None:
    """Copy a venue, running or not, and verify the copy. It holds the pepper and e-mail addresses: keep it private."""
    from raeth.backup import BackupFailed, back_up, for_postgres
    from raeth.clock import iso_ms

    if url := _database_url(database_url, data_dir):
        raise fail(for_postgres(url, to, _data_dir(data_dir)), 2)
    try:
        report = back_up(_data_dir(data_dir), to)
    except BackupFailed as error:
        raise fail(str(error)) from None
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    stamp = iso_ms(report.last_ts) if report.commands else "-"
    out.print(f"backup at {report.path}: {report.commands:,} commands to {stamp}, {report.size_bytes:,} bytes, chain")
    out.print(f"verified, head {report.chain_head}; the admin token is not in it", markup=False)


# ---- operating a running venue ----


def _token(data_dir: Path | None) -> str:
    from raeth.config import ADMIN_TOKEN_FILE

    token = os.environ.get("RAETH_ADMIN_TOKEN")
    if token:
        return token
    path = _data_dir(data_dir) / ADMIN_TOKEN_FILE
    try:
        return path.read_text().strip()
    except OSError as error:
        raise fail(
            f"no admin token: set RAETH_ADMIN_TOKEN or name the data dir ({path}: {error.strerror})", 2
        ) from None


def _call(method: str, url: str, path: str, data_dir: Path | None, body: dict[str, Any] | None = None) -> None:
    """One request to the admin API; the answer as JSON on stdout, an error as one line and exit 1."""
    import httpx2

    fields = {k: v for k, v in (body or {}).items() if v is not None} if body is not None else None
    try:
        answer = httpx2.request(
            method,
            f"{url.rstrip('/')}/api/v1/admin{path}",
            json=fields,
            headers={"Authorization": f"Bearer {_token(data_dir)}"},
            timeout=10,
        )
    except httpx2.HTTPError as error:
        raise fail(f"{url}: {error}") from None
    try:
        content = answer.json()
    except ValueError:
        raise fail(f"{url} did not answer as a raeth venue does (HTTP {answer.status_code})") from None
    if answer.status_code >= 400:
        raise fail(f"{content.get('code')}: {content.get('message')} (request {content.get('request_id')})")
    out.print_json(data=content)


HERE = "http://127.0.0.1:8000"
Reason = Annotated[str, typer.Option(help="Why: it is journaled and shown.")]
MaybeReason = Annotated[str | None, typer.Option(help="Why: it is journaled and shown.")]


@admin.command("state")
def admin_state(url: Url = HERE, data_dir: DataDir = None) -> None:
    """The venue as an operator needs to see it."""
    _call("GET", url, "/state", data_dir)


@admin.command("freeze")
def admin_freeze(reason: Reason, url: Url = HERE, data_dir: DataDir = None) -> None:
    """The kill switch: no new orders from the next command on; cancels, reads and settlement go on."""
    _call("POST", url, "/freeze", data_dir, {"reason": reason})


@admin.command("unfreeze")
def admin_unfreeze(reason: MaybeReason = None, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Let orders in again."""
    _call("POST", url, "/unfreeze", data_dir, {"reason": reason})


@admin.command("halt")
def admin_halt(market: str, reason: Reason, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Stop trading in one market; what rests stays."""
    _call("POST", url, f"/markets/{market}/halt", data_dir, {"reason": reason})


@admin.command("resume")
def admin_resume(market: str, reason: MaybeReason = None, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Let a halted market trade again."""
    _call("POST", url, f"/markets/{market}/resume", data_dir, {"reason": reason})


@admin.command("void")
def admin_void(market: str, reason: Reason, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Make a market that has not resolved as if it had never been."""
    _call("POST", url, f"/markets/{market}/void", data_dir, {"reason": reason})


@admin.command("suspend")
def admin_suspend(agent: str, reason: Reason, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Stop an agent from trading and cancel what it has resting."""
    _call("POST", url, f"/agents/{agent}/suspend", data_dir, {"reason": reason})


@admin.command("reinstate")
def admin_reinstate(agent: str, reason: MaybeReason = None, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Let a suspended agent trade again."""
    _call("POST", url, f"/agents/{agent}/reinstate", data_dir, {"reason": reason})


@admin.command("grant")
def admin_grant(agent: str, amount_cents: int, reason: Reason, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Give an agent testnet cash, in cents."""
    _call("POST", url, f"/agents/{agent}/grant", data_dir, {"amount_cents": amount_cents, "reason": reason})


@admin.command("revoke-key")
def admin_revoke_key(key_id: str, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Revoke an API key, effective with the next request."""
    _call("POST", url, f"/keys/{key_id}/revoke", data_dir, {})


@admin.command("broadcast")
def admin_broadcast(message: str, url: Url = HERE, data_dir: DataDir = None) -> None:
    """Tell everybody something."""
    _call("POST", url, "/broadcast", data_dir, {"message": message})


@admin.command("audit-trail")
def admin_audit_trail(url: Url = HERE, data_dir: DataDir = None) -> None:
    """What operators did, newest first."""
    _call("GET", url, "/audit", data_dir)


# ---- the reference ----


@reference.command("record")
def reference_record(
    file: Path,
    venue: Annotated[list[str] | None, typer.Option(help="A venue to record; repeat for more. Default all.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long. Default: at Ctrl-C.")] = None,
) -> None:
    """Write the venues' raw frames to FILE (gzipped), as `--reference replay:FILE` reads them."""
    from raeth.config import ConfigError, load_settings
    from raeth.logs import configure_logging
    from raeth.reference import SourceError, record

    try:
        settings = load_settings()
    except ConfigError as error:
        raise fail(str(error), 2) from None
    configure_logging(settings.log_level)
    try:
        counts = asyncio.run(
            record(file, venue or list(settings.reference.venues), seconds, settings=settings.reference)
        )
    except SourceError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        out.print(f"stopped; {file} can be replayed")
        return
    for name, frames in counts.items():
        out.print(f"{name:10} {frames} frames")


@app.command()
def mcp(url: Url = "http://127.0.0.1:8000") -> None:
    """The venue as tools for a model, over stdin and stdout, with the agent's key from RAETH_API_KEY."""
    from raeth.mcp.stdio import main

    raise typer.Exit(main(url))


app.command()(bot)
app.command()(watch)


@app.command()
def version() -> None:
    """The version of this program."""
    from raeth import __version__

    print(__version__)


if __name__ == "__main__":
    app()
