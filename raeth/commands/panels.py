"""The parts of a frame of `raeth watch`. Pure: values in, lines of exactly the width asked for out.

Colours are the terminal's own sixteen, so that they suit dark and light ones; nothing is told by colour alone. Must not
know where the values come from, nor how the parts are arranged.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from raeth.commands.money import clock, dollars, plain
from raeth.commands.scene import Outcome, Own, Scene, Window

Lines = list[Text]

EIGHTHS = " ▏▎▍▌▋▊▉█"
UP, DOWN, EVEN = "▲", "▼", "○"
UP_STYLE, DOWN_STYLE, FAINT, NOTE = "green", "red", "dim", "yellow"

# ---- lines ----


def line(*parts: str | tuple[str, str]) -> Text:
    """Text from pieces, each plain or with its style; nothing in it is markup."""
    made = Text(no_wrap=True, end="")
    for part in parts:
        text, style = part if isinstance(part, tuple) else (part, "")
        made.append(plain(text), style or None)
    return made


def fit(text: Text, width: int) -> Text:
    """Exactly `width` cells: cut with an ellipsis, or padded."""
    fitted = text.copy()
    if fitted.cell_len > width:
        fitted.truncate(width, overflow="ellipsis")
    fitted.append(" " * (width - fitted.cell_len))
    return fitted


def spread(left: Text, right: Text, width: int) -> Text:
    """Two texts at the ends of a line; the left one gives way."""
    return fit(fit(left, max(0, width - right.cell_len)) + right, width)


def box(title: str, content: Lines, width: int, height: int) -> Lines:
    """A frame of exactly that size around as much of the content as fits."""
    inner = width - 4
    name = set_cell_size(plain(title), min(cell_len(plain(title)), inner - 2))
    rule = "─" * (width - 5 - cell_len(name))
    rows = [line((f"╭─ {name} ", FAINT), (rule + "╮", FAINT)) if name else line(("╭" + "─" * (width - 2) + "╮", FAINT))]
    for number in range(height - 2):
        text = content[number] if number < len(content) else Text()
        rows.append(line(("│ ", FAINT)) + fit(text, inner) + line((" │", FAINT)))
    rows.append(line(("╰" + "─" * (width - 2) + "╯", FAINT)))
    return rows


def beside(*blocks: Lines) -> Lines:
    """Blocks of one height next to each other."""
    assert len({len(block) for block in blocks}) == 1, "blocks of different heights"
    rows = []
    for parts in zip(*blocks, strict=True):
        row = Text(no_wrap=True, end="")
        for part in parts:
            row.append_text(part)
        rows.append(row)
    return rows


def bar(part: int, whole: int, width: int) -> str:
    """A bar of `part` in `whole`, to an eighth of a cell; something is never nothing."""
    if part <= 0 or whole <= 0 or width <= 0:
        return ""
    eighths = max(1, min(part, whole) * width * 8 // whole)
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def bitcoin(cents: int, signed: bool = False) -> str:
    return dollars(cents, signed).replace("$", "")


def hour(ms: int) -> str:
    """A boundary as people say it: `10:31`, with seconds where windows are shorter than minutes."""
    return clock(ms)[:8] if ms % 60_000 else clock(ms)[:5]


def seconds(left_ms: int) -> int:
    """Whole seconds of what is left; 0 only when nothing is."""
    return -(-max(0, left_ms) // 1000)


def count(qty: int) -> str:
    """At most six characters."""
    for unit, size in (("", 1), ("k", 1_000), ("M", 1_000_000)):
        if qty < size * 100_000:
            return f"{qty // size}{unit}"
    return "lots"


# ---- the price ----


def price_lines(scene: Scene, width: int, height: int) -> Lines:
    """The reference against the strike, in words and as a chart of the last minute."""
    window, price = scene.window, scene.reference_cents
    strike = window.strike_cents if window is not None else None
    if price is None:
        head = line(("no reference price", f"bold {DOWN_STYLE}"))
    elif strike is None:
        head = line((bitcoin(price), "bold"), "  no strike yet")
    else:
        sign, style, word = standing(price, strike)
        head = line(
            (bitcoin(price), "bold"), "  ", (f"{sign} {bitcoin(price - strike, signed=True)}", f"bold {style}"), word
        )
    value = line(*yes_parts(scene))
    rows = [head, value]
    if width >= 16 and height > 4:
        rows += chart(scene.history, strike, scene.now_ms, width, height - 2, window)
    return rows


def standing(price: int, strike: int) -> tuple[str, str, str]:
    """Sign, style and words for where the price is."""
    if price == strike:
        return EVEN, NOTE, " at the strike"
    return (UP, UP_STYLE, " above the strike") if price > strike else (DOWN, DOWN_STYLE, " below the strike")


def yes_parts(scene: Scene) -> list[str | tuple[str, str]]:
    bid = f"{scene.bids[0][0]}¢" if scene.bids else "-"
    ask = f"{scene.asks[0][0]}¢" if scene.asks else "-"
    last = f"{scene.last_trade_price}¢" if scene.last_trade_price is not None else "-"
    fair = f"{scene.fair_cents}¢" if scene.fair_cents is not None else "-"
    return ["YES ", (f"{bid} / {ask}", "bold"), f"  last {last}  worth ", (fair, "bold")]


SPAN_MS = 60_000
LABEL = 12
BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
LEAST_RANGE_CENTS = 200


def chart(
    history: Sequence[tuple[int, int]], strike: int | None, now_ms: int, width: int, height: int, window: Window | None
) -> Lines:
    """The last minute up to now, two by four dots a cell, with the strike as a dashed line and the window's beginning
    as a dotted one. Prices stand at the right."""
    columns = width - LABEL
    heights = sampled(history, now_ms, columns * 2)
    known = [price for price in heights if price is not None]
    if not known:
        return [line(("no prices in the last minute", FAINT))]
    low, high = limits([*known, *([strike] if strike is not None else [])])
    cells = dots(heights, low, high, columns, height)
    strike_row = None if strike is None else (high - strike) * height // (high - low + 1)
    began = None
    if window is not None and now_ms - SPAN_MS < window.open_at_ms <= now_ms:
        began = (window.open_at_ms - (now_ms - SPAN_MS)) * columns // SPAN_MS
    now_style = standing(known[-1], strike)[1] if strike is not None else "cyan"
    labels = {0: bitcoin(high), height - 1: bitcoin(low)}
    if strike is not None and strike_row is not None:
        labels[strike_row] = bitcoin(strike)
    rows = []
    for number in range(height):
        row = Text(no_wrap=True, end="")
        style = now_style
        if strike_row is not None and number != strike_row:
            style = UP_STYLE if number < strike_row else DOWN_STYLE
        for column in range(columns):
            mask = cells[number][column]
            if mask:
                row.append(chr(0x2800 + mask), style)
            elif number == strike_row:
                row.append("╌", NOTE)
            else:
                row.append("┊" if column == began else " ", FAINT)
        label = labels.get(number, "")
        row.append(f"{label[:LABEL]:>{LABEL}}", NOTE if number == strike_row else FAINT)
        rows.append(row)
    return rows


def sampled(history: Sequence[tuple[int, int]], now_ms: int, samples: int) -> list[int | None]:
    """The price at evenly spaced times of the last minute; None before the first known one and after the last one's
    silence has lasted as long as the span."""
    start_ms, place, price, found = now_ms - SPAN_MS, 0, None, []
    for number in range(1, samples + 1):
        upto_ms = start_ms + SPAN_MS * number // samples
        while place < len(history) and history[place][0] <= upto_ms:
            ts_ms, cents = history[place]
            price = cents if ts_ms > start_ms - SPAN_MS else None
            place += 1
        found.append(price)
    return found


def limits(prices: Sequence[int]) -> tuple[int, int]:
    """The least and the greatest price of a chart: a little room, and never so near that noise looks like a move."""
    low, high = min(prices), max(prices)
    room = max((high - low) // 12, (LEAST_RANGE_CENTS - (high - low)) // 2, 1)
    return low - room, high + room


def dots(heights: Sequence[int | None], low: int, high: int, columns: int, rows: int) -> list[list[int]]:
    """Bit masks of the cells: each sample a dot, joined to the one before by a vertical stroke."""
    cells = [[0] * columns for _ in range(rows)]
    before = None
    for x, price in enumerate(heights):
        if price is None:
            before = None
            continue
        y = (high - price) * (rows * 4 - 1) // (high - low)
        first, last = (y, y) if before is None else (min(y, before + (y > before)), max(y, before - (y < before)))
        for dot in range(first, last + 1):
            cells[dot // 4][x // 2] |= BRAILLE[dot % 4][x % 2]
        before = y
    return cells


# ---- the book ----


def ladder(scene: Scene, width: int, height: int) -> Lines:
    """Asks above, bids below, the best ones in the middle; bars are to one scale, own quantities at the left."""
    each = max(1, (height - 2) // 2)
    asks, bids = list(scene.asks[:each]), list(scene.bids[: max(1, height - 2 - each)])
    most = max((qty for _, qty in [*asks, *bids]), default=0)
    own = own_levels(scene.own)
    rows = [line((f"{'own':>5} {'price':>5} {'qty':>6}", FAINT))]
    rows += [Text()] * (each - max(1, len(asks)))
    if not asks:
        rows.append(line((f"{'no asks':>12}", DOWN_STYLE)))
    rows += [rung(price, qty, own.get(("SELL", price)), most, width, DOWN_STYLE) for price, qty in reversed(asks)]
    rows.append(middle(scene, width))
    rows += [rung(price, qty, own.get(("BUY", price)), most, width, UP_STYLE) for price, qty in bids]
    if not bids:
        rows.append(line((f"{'no bids':>12}", UP_STYLE)))
    return rows


def rung(price: int, qty: int, own: int | None, most: int, width: int, style: str) -> Text:
    mine = count(own) if own else ""
    return line(
        (f"{mine:>5}", "bold"), (f" {price:>4}¢", style), f" {count(qty):>6} ", (bar(qty, most, width - 19), style)
    )


def middle(scene: Scene, width: int) -> Text:
    if not (scene.bids and scene.asks):
        return line(("─" * width, FAINT))
    bid, ask = scene.bids[0][0], scene.asks[0][0]
    mid = f"{(bid + ask) // 2}{'½' if (bid + ask) % 2 else ''}"
    text = f"── spread {ask - bid}¢ · mid {mid}¢ "
    if cell_len(text) > width:
        text = f"── {ask - bid}¢ · mid {mid}¢ "
    return line((text + "─" * max(0, width - cell_len(text)), FAINT))


def own_levels(own: Own | None) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for order in own.orders if own is not None else ():
        found[order.side, order.price] = found.get((order.side, order.price), 0) + order.remaining_qty
    return found


# ---- trades, windows, the own account ----


def tape(scene: Scene, width: int, height: int) -> Lines:
    """Trades of this window, newest first; the sign is the taker's side."""
    if not scene.tape:
        return [line(("no trade yet", FAINT))]
    rows, begin = [], 0 if width >= 22 else 3  # where there is no room for the hour it is left out
    for ts_ms, side, price, qty in scene.tape[:height]:
        sign, style = (UP, UP_STYLE) if side == "BUY" else (DOWN, DOWN_STYLE)
        rows.append(line((clock(ts_ms)[begin:8], FAINT), (f" {sign} {price:>2}¢", style), f" ×{count(qty)}"))
    return rows


MARKS = {"YES": (UP, UP_STYLE), "NO": (DOWN, DOWN_STYLE), "VOID": (EVEN, NOTE), None: ("…", FAINT)}


def windows(scene: Scene, width: int) -> Lines:
    """PREV, LIVE and NEXT, and how the ones before ended."""
    rows = [previous_line(scene.outcomes[0]) if scene.outcomes else line(("PREV ", FAINT), ("none yet", FAINT))]
    window, upcoming, price = scene.window, scene.next_window, scene.reference_cents
    if window is None:
        rows.append(line("LIVE ", ("no window is open", NOTE)))
    else:
        sign, style = EVEN, NOTE
        if window.strike_cents is not None and price is not None:
            sign, style, _ = standing(price, window.strike_cents)
        left = seconds(window.close_at_ms - scene.now_ms)
        rows.append(line("LIVE ", (hour(window.close_at_ms), "bold"), " ", (sign, style), f" {left} s left"))
    if upcoming is not None:
        opens = seconds(upcoming.open_at_ms - scene.now_ms)
        rows.append(line(("NEXT ", FAINT), hour(upcoming.close_at_ms), (f"   in {opens} s", FAINT)))
    else:
        rows.append(line(("NEXT not listed", FAINT)))
    before = Text("", no_wrap=True, end="")
    for outcome in scene.outcomes[: max(0, (width - 7) // 2)]:
        sign, style = MARKS.get(outcome.resolution, MARKS[None])
        before.append(f" {sign}", style)
    rows.append(line(("before", FAINT)) + before)
    return rows


def previous_line(outcome: Outcome) -> Text:
    sign, style = MARKS.get(outcome.resolution, MARKS[None])
    how = outcome.resolution or "awaits its print"
    move = ""
    if outcome.open_cents is not None and outcome.close_cents is not None:
        move = f" {bitcoin(outcome.close_cents - outcome.open_cents, signed=True)}"
    return line(("PREV ", FAINT), hour(outcome.close_at_ms), " ", (f"{sign} {how}", style), (move, FAINT))


def account(own: Own, height: int) -> Lines:
    """Cash, the position in the open window and what either outcome pays, resting orders."""
    rows = [line((f"cash {dollars(own.cash_cents)}", "bold"), f"  free {dollars(own.free_cash_cents)}")]
    if own.suspended:
        rows.append(line(("SUSPENDED by the operator", f"bold {DOWN_STYLE}")))
    if own.net_qty or own.if_yes_cents or own.if_no_cents:
        side = f"+{own.net_qty} YES" if own.net_qty > 0 else f"{own.net_qty} (NO)" if own.net_qty else "closed"
        rows.append(line("holds ", (side, "bold")))
        rows.append(
            line(f"YES → {dollars(own.if_yes_cents, signed=True)}  NO → {dollars(own.if_no_cents, signed=True)}")
        )
    else:
        rows.append(line(("no position", FAINT)))
    room = height - len(rows)
    if not own.orders:
        rows.append(line(("no orders", FAINT)))
    shown = own.orders if len(own.orders) <= room else own.orders[: max(0, room - 1)]
    for order in shown:
        style = UP_STYLE if order.side == "BUY" else DOWN_STYLE
        rows.append(line((f"{order.side:<4}", style), f" {count(order.remaining_qty):>5} @ {order.price}¢"))
    if len(own.orders) > len(shown):
        rows.append(line((f"and {len(own.orders) - len(shown)} more orders", FAINT)))
    return rows
