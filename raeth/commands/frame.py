"""One frame of `raeth watch`: a scene as lines that fill a terminal of any size. Pure. Must not know terminals.

Warnings stand across the whole width, in words, so that they are seen in a picture without colours as well; while what
is shown may be old, all of it is dimmed.
"""

from __future__ import annotations

from rich.text import Text

from raeth.commands import panels
from raeth.commands.money import clock, plain
from raeth.commands.panels import Lines, beside, box, fit, line, spread
from raeth.commands.scene import Scene

LEAST_WIDTH, LEAST_HEIGHT = 60, 18
"""In a smaller terminal there is only the list of the most important lines."""

WIDE = 110
BOOK_WIDTH, TAPE_WIDTH, OWN_WIDTH = 36, 27, 31
NARROW_TAPE_WIDTH = 21
LOWER_HEIGHT = 7
SOON_S, VERY_SOON_S = 20, 10

ALARM, WARNING = "bold white on red", "bold black on yellow"


def frame(scene: Scene, width: int, height: int) -> Lines:
    """Exactly `height` lines of exactly `width` cells."""
    top = [header(scene, width), countdown(scene, width), *banners(scene, width)]
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        rows = [*top, *(fit(row, width) for row in essentials(scene))]
    else:
        rows = [*top, *body(scene, width, height - len(top) - 1), footer(scene, width)]
    blank = [fit(Text(), width)] * (height - len(rows))
    return [*rows, *blank][:height]


# ---- what stands above ----

LINKS = {
    "LIVE": ("● LIVE", "bold green"),
    "CATCHING UP": ("◌ CATCHING UP", "bold yellow"),
    "CONNECTING": ("◌ CONNECTING", "bold yellow"),
    "SILENT": ("✖ SILENT", "bold red"),
    "GONE": ("✖ GONE", "bold red"),
}


def header(scene: Scene, width: int) -> Text:
    symbol = scene.window.symbol if scene.window is not None else "no open window"
    left = line(" ", ("raeth", "bold"), "  ", (symbol, "bold cyan"))
    time = clock(scene.now_ms)[:8] + "Z" if scene.now_ms and width >= LEAST_WIDTH else ""
    text, style = LINKS[scene.link]
    return spread(left, line(time, "  ", (text, style), " "), width)


def countdown(scene: Scene, width: int) -> Text:
    """What is left of the window, as a bar that runs out."""
    window = scene.window
    if window is None:
        upcoming = scene.next_window
        text = "waiting for a window"
        if upcoming is not None:
            text = f"{upcoming.symbol} opens in {panels.seconds(upcoming.open_at_ms - scene.now_ms)} s"
        return fit(line(" ", (text, panels.NOTE)), width)
    left_ms = max(0, window.close_at_ms - scene.now_ms)
    left_s = panels.seconds(left_ms)
    style = "green" if left_s > SOON_S else "yellow" if left_s > VERY_SOON_S else "red"
    words = f" closes in {left_s:>3} s "
    room = width - len(words) - 1
    full = panels.bar(left_ms, window.close_at_ms - window.open_at_ms, room)
    return fit(line((words, "bold"), (full, style), ("░" * (room - len(full)), panels.FAINT)), width)


def banners(scene: Scene, width: int) -> Lines:
    """What nobody may overlook, the worst first."""
    told = []
    if scene.link == "GONE":
        why = f" ({scene.why})" if scene.why else ""
        told.append((f"THE VENUE IS GONE: what you see is {scene.quiet_s} s old; connecting again{why}", ALARM))
    elif scene.link == "SILENT":
        told.append((f"NOT CURRENT: nothing was heard for {scene.quiet_s} s", ALARM))
    elif scene.link == "CATCHING UP":
        told.append(("NOT CURRENT: catching up with the venue", WARNING))
    elif scene.link == "CONNECTING":
        told.append((f"NOT CONNECTED to {scene.url}" + (f": {scene.why}" if scene.why else ""), ALARM))
    if scene.frozen:
        told.append(("FROZEN: the venue takes no orders" + (f": {scene.reason}" if scene.reason else ""), ALARM))
    if scene.window is not None and scene.window.halted:
        told.append(("HALTED: this window takes no orders", ALARM))
    if scene.link != "CONNECTING" and scene.reference_status != "LIVE":
        age = scene.reference_age_ms
        old = f", {age // 1000} s old" if age is not None else ""
        told.append((f"THE REFERENCE PRICE IS {scene.reference_status}{old}", ALARM))
    if scene.broadcast:
        told.append((f"the operator says: {scene.broadcast}", WARNING))
    if scene.synthetic:
        told.append(("SYNTHETIC PRICE: made up by the venue, not the market's", WARNING))
    return [banner(text, style, width) for text, style in told]


def banner(text: str, style: str, width: int) -> Text:
    """A line across the whole width, with marks that are seen without colours."""
    text = plain(text)
    most = max(1, width - 10)
    text = text if len(text) <= most else text[: most - 1] + "…"
    made = Text(f" {text} ".center(width, "!") if width > len(text) + 8 else text, no_wrap=True, end="")
    made = fit(made, width)
    made.stylize(style)
    return made


# ---- the body ----


def body(scene: Scene, width: int, height: int) -> Lines:
    lower = LOWER_HEIGHT if height >= 2 * LOWER_HEIGHT else max(5, height // 3)
    upper = height - lower
    wide = width >= WIDE
    columns = [BOOK_WIDTH, TAPE_WIDTH] if wide else [min(BOOK_WIDTH, width * 2 // 5)]
    chart_width = width - sum(columns)
    blocks = [
        box("bitcoin, the last minute", panels.price_lines(scene, chart_width - 4, upper - 2), chart_width, upper),
        box("book", panels.ladder(scene, columns[0] - 4, upper - 2), columns[0], upper),
    ]
    if wide:
        blocks.append(box("trades", panels.tape(scene, TAPE_WIDTH - 4, upper - 2), TAPE_WIDTH, upper))
    rows = [*beside(*blocks), *beside(*lower_blocks(scene, width, lower, wide))]
    if not scene.current:
        for row in rows:
            row.stylize("dim")
    return rows


def lower_blocks(scene: Scene, width: int, height: int, wide: bool) -> list[Lines]:
    own = scene.own
    own_width = 0 if own is None else width // 2 if wide else min(OWN_WIDTH, width * 2 // 5)
    tape_width = 0 if wide else NARROW_TAPE_WIDTH if own is not None else width // 2
    rest = width - own_width - tape_width
    blocks = [box("windows", panels.windows(scene, rest - 4), rest, height)]
    if tape_width:
        blocks.append(box("trades", panels.tape(scene, tape_width - 4, height - 2), tape_width, height))
    if own is not None:
        blocks.append(box(own.name, panels.account(own, height - 2), own_width, height))
    return blocks


def footer(scene: Scene, width: int) -> Text:
    age = scene.reference_age_ms
    old = f"price {age} ms old" if age is not None and age < 10_000 else ""
    return spread(line((f" {scene.url}", panels.FAINT)), line((f"{old}  Ctrl-C ends ", panels.FAINT)), width)


def essentials(scene: Scene) -> Lines:
    """For a small terminal."""
    rows = [*panels.price_lines(scene, 0, 0), *panels.windows(scene, LEAST_WIDTH)]
    if scene.own is not None:
        rows += panels.account(scene.own, 4)
    return rows
