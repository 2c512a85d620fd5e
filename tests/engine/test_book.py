"""The book against a naive one: a list that is sorted whenever somebody asks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.engine.book import Book
from raeth.engine.types import BUY, SELL, Order
from tests.engine.venue import NO_FEES, Venue

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "reduce", "fill"]), st.integers(0, 10**6), st.integers(1, 20)),
    max_size=60,
)


def order_at(order_id: int, side: int, price: int, qty: int) -> Order:
    return Order(
        *(order_id, 1, 1, 1, side, "LIMIT", "GTC", price, qty, qty, False, "CANCEL_MAKER"),
        *(None, None, None, 0, 0, 1),
    )


def level_of(order: Order) -> int:
    assert order.price is not None
    return order.price if order.side == BUY else 100 - order.price


class Naive:
    """Resting orders in order of arrival."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def side(self, side: int) -> list[Order]:
        """Best first; the sort is stable, so time decides within a price."""
        return sorted((o for o in self.orders if o.side == side), key=lambda o: -level_of(o))

    def ladder(self, side: int) -> list[tuple[int, int, int]]:
        prices = dict.fromkeys(o.price for o in self.side(side))
        rows = []
        for price in prices:
            there = [o.remaining for o in self.orders if o.side == side and o.price == price]
            rows.append((price or 0, sum(there), len(there)))
        return rows


def play(book: Book, naive: Naive, what: str, number: int, qty: int, next_id: int) -> None:
    if what == "add" or not naive.orders:
        # Bids below 50 and asks above: a crossing order is matched before it is ever added.
        side = number % 2
        price = 1 + number % 49 if side == BUY else 51 + number % 49
        order = order_at(next_id, side, price, qty)
        naive.orders.append(order)
        book.add(order, level_of(order))
        return
    order = naive.orders[number % len(naive.orders)]
    if what == "remove":
        book.remove(order, level_of(order))
        naive.orders.remove(order)
    elif what == "reduce":
        if order.remaining > 1:
            book.reduce(order, level_of(order), min(qty, order.remaining - 1))
    else:
        book.fill(order, level_of(order), min(qty, order.remaining))
        if not order.remaining:
            naive.orders.remove(order)


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_it_is_the_naive_book(actions: list[tuple[str, int, int]]) -> None:
    book, naive = Book(), Naive()
    for next_id, (what, number, qty) in enumerate(actions):
        play(book, naive, what, number, qty, next_id)
        for side in (BUY, SELL):
            assert [o.id for o in book.orders(side)] == [o.id for o in naive.side(side)]
            assert book.ladder(side) == naive.ladder(side)
            assert book.ladder(side, 2) == naive.ladder(side)[:2]
        bids, asks = naive.side(BUY), naive.side(SELL)
        assert book.best_bid() == (bids[0].price if bids else None)
        assert book.best_ask() == (asks[0].price if asks else None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([BUY, SELL]), st.integers(1, 99), st.integers(1, 9)), max_size=40
    )
)
def test_matching_is_by_price_then_time(orders: list[tuple[int, int, int, int]]) -> None:
    """Orders through the whole engine against a list: trades, and what is left resting."""
    venue = Venue(**NO_FEES, cooldown_rejects=1_000)
    resting: list[list[int]] = []  # [agent, side, price, left], in order of arrival
    for who, side, price, qty in orders:
        left, expected = qty, []
        others = [r for r in resting if r[1] != side and (r[2] <= price if side == BUY else r[2] >= price)]
        for other in sorted(others, key=lambda r: r[2] if side == BUY else -r[2]):
            if not left:
                break
            if other[0] == who:
                resting.remove(other)
                continue
            take = min(left, other[3])
            left -= take
            other[3] -= take
            expected.append((other[2], take))
            if not other[3]:
                resting.remove(other)
        if left:
            resting.append([who, side, price, left])
        done = venue.place(venue.agents[who], venue.spec(side, price, qty, confirm_fat_finger=True))
        assert [(f.price, f.qty) for f in done.fills] == expected
        assert done.remaining == left
    for side in (BUY, SELL):
        rows = sorted((r for r in resting if r[1] == side), key=lambda r: -r[2] if side == BUY else r[2])
        found = [(o.price, o.remaining) for o in venue.live.book.orders(side)]
        assert found == [(r[2], r[3]) for r in rows]


def test_the_ends_of_the_grid() -> None:
    book = Book()
    assert (book.best_bid(), book.best_ask(), book.ladder(BUY)) == (None, None, [])
    for order_id, (side, price) in enumerate([(BUY, 1), (SELL, 99)]):
        order = order_at(order_id, side, price, 1)
        book.add(order, level_of(order))
    assert (book.best_bid(), book.best_ask()) == (1, 99)
    for order_id, (side, price) in enumerate([(BUY, 98), (SELL, 99)], start=2):
        order = order_at(order_id, side, price, 1)
        book.add(order, level_of(order))
    assert (book.best_bid(), book.best_ask()) == (98, 99)
    assert book.ladder(SELL) == [(99, 2, 2)]
