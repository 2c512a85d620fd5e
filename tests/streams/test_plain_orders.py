"""Plain orders are read in one step, and mean what the schema says they mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from raeth.api.intake import key_of, spec_of
from raeth.api.schemas.orders import OrderRequest
from raeth.api.schemas.plain_orders import PlainOrderRequest, read_plain_order
from raeth.api.streams.replies import Incoming, PlainOrder, Unreadable, read, read_any, read_plain
from raeth.api.views.names import MarketName

SCHEMA = TypeAdapter(OrderRequest)

EDGES = [0, 1, 99, 2**53 - 1, 2**53, 1 - 2**53, -(2**53), 2**63, 2**64, 10**40]
numbers = st.one_of(
    st.integers(-5, 105).map(str),
    st.sampled_from([*map(str, EDGES), "-0", "5.0", "5e0", "-0.0", "05", "+5", "1e400", "NaN", '"5"', "true", "null"]),
)
names = st.sampled_from(["a", "mm:1.2-3_4", "a" * 128, "a" * 129, "", "a\n", "a b", "é", "\u0660", "a\0", "\ud800"])
markets = st.sampled_from(["BTC", "b" * 64, "b" * 65, "", "BTC\n", " ", "~", "\x7f", "é", "\ud800", "0193b2c4-7d10"])
texts = (names | markets | st.text(max_size=4)).map(json.dumps)
bools = st.sampled_from(["true", "false", "null", "0", '"true"'])
FIELDS: dict[str, st.SearchStrategy[str]] = {
    "market_id": markets.map(json.dumps),
    "side": st.sampled_from(['"BUY"', '"SELL"', '"B\\u0055Y"', '"buy"', "null", "1"]),
    "type": st.sampled_from(['"LIMIT"', '"LIMIT"', '"MARKET"', "null"]),
    "price": numbers,
    "qty": numbers,
    "tif": st.sampled_from(['"GTC"', '"IOC"', '"FOK"', '"POST_ONLY"', '"DAY"', "null"]),
    "reduce_only": bools,
    "client_order_id": names.map(json.dumps) | bools,
    "expires_at_ms": numbers,
    "stp": st.sampled_from(['"CANCEL_MAKER"', '"CANCEL_TAKER"', '"CANCEL_BOTH"', '"NONE"', "null"]),
    "confirm_fat_finger": bools,
    "slippage_cap_cents": numbers,
    "timestamp_ms": numbers,
    "recv_window_ms": numbers,
    "leverage": numbers | texts,
    "margin_mode": numbers | texts,
    "nonsense": numbers,
}
GOOD = {"market_id": '"BTC"', "side": '"BUY"', "type": '"LIMIT"', "price": "50", "qty": "3"}


def joined(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"


@st.composite
def messages(draw: st.DrawFn) -> str:
    """Most of them near a good one: a field or two changed, left out, given twice, or of another kind."""
    pairs = list(GOOD.items())
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=3)):
        pairs.append((name, draw(FIELDS[name])))
    if draw(st.booleans()):
        pairs = list(dict(pairs).items())
    if draw(st.integers(0, 9)) == 0:
        pairs.pop(draw(st.integers(0, len(pairs) - 1)))
    pairs = draw(st.permutations(pairs))
    params = draw(st.sampled_from([joined(pairs)] * 15 + ["null", "[]", "1", joined(pairs) + "}"]))
    whole = [("op", draw(st.sampled_from(['"submit_order"'] * 8 + ['"cancel_order"', '"submit\\u005forder"', "null"])))]
    whole.append(("params", params))
    ids = texts | st.sampled_from(["null", "1", '"1"', json.dumps("é" * 128), json.dumps("é" * 129)])
    others = {"request_id": ids, "channels": st.just("null") | st.just('["venue"]'), "op": st.just('"ping"')}
    others["params"] = st.just("{}")
    for name in draw(st.lists(st.sampled_from(["request_id"] * 5 + sorted(others)), max_size=2)):
        whole.append((name, draw(others[name])))
    text = joined(draw(st.permutations(whole)))
    return draw(st.sampled_from([text] * 9 + [text + " ", " " + text, text + "x", text[:-1]]))


def schemas_word(text: str) -> tuple[Incoming, OrderRequest] | None:
    """What the general way makes of it; None where it refuses."""
    try:
        message = read_any(text)
        return message, SCHEMA.validate_json(bytes(message.params))
    except (Unreadable, ValidationError):
        return None


@pytest.mark.timeout(1_800)  # for --long; ordinarily it is seconds
def test_what_is_taken_as_plain_the_schema_takes_and_means_the_same(request: pytest.FixtureRequest) -> None:
    found: Counter[str] = Counter()

    @settings(
        max_examples=100_000 if request.config.getoption("--long") else 600,
        derandomize=True,
        database=None,
        deadline=None,
    )
    @given(messages())
    def run(text: str) -> None:
        plain, general = read_plain(text), schemas_word(text)
        found[f"plain {plain is not None}, good {general is not None}"] += 1
        if plain is None:
            return
        assert general is not None, text
        message, body = general
        assert (plain.op, plain.request_id) == (message.op, message.request_id)
        params: Any = plain.params
        spec = params.spec(7)
        assert spec == spec_of(body, 7)
        assert read_plain_order(bytes(message.params)) == params
        for name in (None, MarketName("uuid", "BTC")):
            assert key_of(3, params, spec, name) == key_of(3, body, spec, name)

    run()
    assert len(found) == 3 and min(found.values()) >= 20, found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw + b"\0",
        lambda raw: raw.replace(b"mm:1", b"mm\xff1"),
        lambda raw: raw.replace(b"mm:1", b"mm\xc3"),
        lambda raw: raw.replace(b"LIMIT", b"LIMIT\xed\xa0\x80"),
        lambda raw: raw.replace(b'"qty"', b'"q\xffty"'),
        lambda raw: b"",
    ],
)
def test_bytes_that_are_no_text_are_the_schemas_to_refuse(spoil: Callable[[bytes], bytes]) -> None:
    good = joined([*(GOOD | {"client_order_id": '"mm:1"'}).items()]).encode()
    assert read_plain_order(good) is not None
    assert read_plain_order(spoil(good)) is None


def test_every_field_of_the_schema_is_thought_of() -> None:
    left_out = set(OrderRequest.model_fields) - set(PlainOrderRequest.__struct_fields__)
    assert set(PlainOrderRequest.__struct_fields__) <= set(OrderRequest.model_fields)
    assert left_out == {"slippage_cap_cents", "timestamp_ms", "recv_window_ms", "leverage", "margin_mode"}
    assert all(OrderRequest.model_fields[name].default is None for name in left_out)


def test_orders_as_most_are_sent_are_plain() -> None:
    for more in ({}, {"tif": '"IOC"'}, {"client_order_id": '"mm:1"'}, {"tif": '"POST_ONLY"', "reduce_only": "true"}):
        text = joined([("op", '"submit_order"'), ("request_id", '"1"'), ("params", joined([*(GOOD | more).items()]))])
        assert isinstance(read(text), PlainOrder)
