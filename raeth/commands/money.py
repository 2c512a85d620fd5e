"""Cents and times as people read them. Pure."""

from __future__ import annotations


def dollars(cents: int, signed: bool = False) -> str:
    """`$1,012.34`; with `signed` `+$1.20` or `-$1.20`, and `$0.00` for nothing."""
    sign = "-" if cents < 0 else "+" if signed and cents > 0 else ""
    whole, part = divmod(abs(cents), 100)
    return f"{sign}${whole:,}.{part:02d}"


def clock(ms: int) -> str:
    """`10:30:23.123`, the time of day (UTC) of epoch milliseconds."""
    seconds, milliseconds = divmod(ms, 1000)
    minutes, second = divmod(seconds % 86_400, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}"


def plain(text: str) -> str:
    """Text of somebody else's, safe for a terminal: one line, without control characters."""
    return "".join(character if character.isprintable() else "?" for character in text)
