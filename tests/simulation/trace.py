"""Lines of a trace: what was asked, what went wrong, what was answered, with step and virtual time."""

from __future__ import annotations

from typing import Any

from tests.simulation.model import Request


def line(entry: tuple[Any, ...]) -> str:
    step, now_s, *what = entry
    return f"  step {step:>6}  {now_s:>10.4f} s  " + "  ".join(_word(word) for word in what)


def _word(word: object) -> str:
    if isinstance(word, Request):
        keys = ",".join(key.key for key in word.keys)
        return f"{word.command!r}" + (f" keys {keys}" if keys else "")
    return str(word)
