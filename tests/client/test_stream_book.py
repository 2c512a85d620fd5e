"""A local book, fed by a naive venue: orders in a list, totals counted anew, changes gathered for a while and told."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.client.book import LocalBook


class NaiveBook:
    """Orders as `(side, price, qty)`; what was touched since it was last told."""

    def __init__(self) -> None:
        self.orders: list[list[Any]] = []
        self.seq = 0
        self.touched: set[tuple[str, int]] = set()

    def add(self, side: str, price: int, qty: int) -> None:
        """One that would cross trades first, against the best prices."""
        self.seq += 1
        while qty and (best := self.best_against(side, price)) is not None:
            traded = min(qty, best[2])
            qty -= traded
            self.shrink(best, traded)
        if qty:
            self.orders.append([side, price, qty])
            self.touched.add((side, price))

    def best_against(self, side: str, price: int) -> list[Any] | None:
        if side == "BUY":
            return min((o for o in self.orders if o[0] == "SELL" and o[1] <= price), key=lambda o: o[1], default=None)
        return max((o for o in self.orders if o[0] == "BUY" and o[1] >= price), key=lambda o: o[1], default=None)

    def shrink(self, order: list[Any], by: int) -> None:
        self.touched.add((order[0], order[1]))
        order[2] -= by
        if not order[2]:
            self.orders.remove(order)

    def remove(self, which: int) -> None:
        if self.orders:
            self.seq += 1
            order = self.orders[which % len(self.orders)]
            self.shrink(order, order[2])

    def total(self, side: str, price: int) -> list[int]:
        found = [order[2] for order in self.orders if order[:2] == [side, price]]
        return [price, sum(found), len(found)]

    def levels(self, side: str) -> list[list[int]]:
        prices = {order[1] for order in self.orders if order[0] == side}
        return [self.total(side, price) for price in sorted(prices, reverse=side == "BUY")]

    def snapshot(self) -> dict[str, Any]:
        return {"market_id": "m", "bids": self.levels("BUY"), "asks": self.levels("SELL")}

    def delta(self) -> dict[str, Any]:
        touched, self.touched = sorted(self.touched), set()
        random.Random(self.seq).shuffle(touched)
        rows = {side: [self.total(s, p) for s, p in touched if s == side] for side in ("BUY", "SELL")}
        return {"market_id": "m", "bids": rows["BUY"], "asks": rows["SELL"]}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(["BUY", "SELL"]), st.integers(1, 99), st.integers(1, 20)),
        st.tuples(st.just("remove"), st.integers(0, 50)),
        st.just(("tell",)),
        st.just(("snapshot",)),
    ),
    max_size=60,
)


@given(steps, steps)
def test_equals_the_venue_whenever_it_was_told(before: list[Any], after: list[Any]) -> None:
    venue, book = NaiveBook(), LocalBook("m")
    for step in before:
        if step[0] in ("add", "remove"):
            getattr(venue, step[0])(*step[1:])
        elif step[0] == "tell":
            book.delta(venue.delta(), venue.seq)
    assert book.bids == book.asks == [] and not book.synced  # deltas without a snapshot are nothing
    venue.touched.clear()
    book.snapshot(venue.snapshot(), venue.seq)
    for step in [*after, ("tell",)]:
        if step[0] in ("add", "remove"):
            getattr(venue, step[0])(*step[1:])
        elif step[0] == "snapshot":
            book.snapshot(venue.snapshot(), venue.seq)
            venue.touched.clear()
        else:
            book.delta(venue.delta(), venue.seq)
            assert book.levels() == (venue.levels("BUY"), venue.levels("SELL"))
            assert book.bids == [(price, qty) for price, qty, _ in venue.levels("BUY")]
            assert book.asks == [(price, qty) for price, qty, _ in venue.levels("SELL")]
            assert book.best_bid == (book.bids[0][0] if book.bids else None)
            assert book.best_ask == (book.asks[0][0] if book.asks else None)
            assert not book.crossed and book.synced and book.seq == venue.seq


def test_a_delta_older_than_the_snapshot_changes_nothing() -> None:
    book = LocalBook("m")
    book.snapshot({"bids": [[50, 7, 1]], "asks": []}, 10)
    book.delta({"bids": [[50, 3, 1]], "asks": []}, 9)
    assert book.bids == [(50, 7)] and book.seq == 10


def test_says_what_no_book_can_be() -> None:
    book = LocalBook("m")
    book.snapshot({"bids": [[50, 7, 1]], "asks": [[52, 1, 1]]}, 1)
    book.delta({"bids": [[52, 1, 1]], "asks": []}, 2)
    assert book.crossed
    with pytest.raises(ValueError, match="-1 contracts"):
        book.delta({"bids": [[40, -1, 1]], "asks": []}, 3)
    book.lost()
    assert not book.synced


def test_the_mid_stays_an_integer() -> None:
    book = LocalBook("m")
    assert book.mid_x2 is None
    book.snapshot({"bids": [[50, 7, 1]], "asks": [[53, 1, 1]]}, 1)
    assert book.mid_x2 == 103
