"""The streams in words, as data: what `/llms-full.txt` says of them (contract, section 11).

OpenAPI has no words for sockets. A test holds the names here against those the streams know. Must not know a venue.
"""

from __future__ import annotations

from typing import Final

OPS: Final[dict[str, tuple[str, str]]] = {
    "authenticate": (
        '"api_key", "cancel_on_disconnect"?',
        "Show the key once, unless the handshake did. With cancel_on_disconnect true the agent's resting orders are "
        "cancelled (DISCONNECT) when the socket ends.",
    ),
    "subscribe": ('"channels", "from_seq"?', "All or nothing. The ack comes first, then a snapshot a channel."),
    "unsubscribe": ('"channels"', "All or nothing."),
    "ping": ("", "The ack has the venue's `ts` and `seq`."),
    "submit_order": ('"params": body of POST /orders', "Ack or reject, with the order under `data`."),
    "cancel_order": ('"params": {"order_id"} or {"client_order_id"}', "As DELETE /orders/{order_id}."),
    "amend_order": ('"params": {"order_id", "price"?, "qty"?}', "As PATCH /orders/{order_id}."),
    "cancel_all": ('"params": body of POST /orders/cancel', "Without any filter everything of the agent."),
    "put_quotes": ('"params": body of PUT /quotes', "As PUT /quotes."),
}
"""What a client may send: `op` → (its other fields, what it does)."""

CHANNELS: Final[dict[str, str]] = {
    "book.<market>": "Snapshot: the whole book as GET /markets/{market_id}/book. Deltas: `bids` and `asks` as [price, "
    "qty, orders] with the new total at that price; qty 0 removes the level.",
    "l3.<market>": "Snapshot: `bids` and `asks` as [order_id, price, qty] in queue order. Deltas: `changes` as "
    "[order_id, side, price, qty], applied in order; qty 0 removes, an unknown id joins the back of its price.",
    "trades.<market>": "Snapshot: the last trades, newest first. Then an event a trade.",
    "markets": "Snapshot: all live windows. Events: `change` (PENDING, OPEN, PRINTED, EXPIRED, RESOLVED, VOID, HALTED, "
    "RESUMED) with the `market`.",
    "feed.btc": "The Bitcoin reference price, at most 4 events a second.",
    "leaderboard": "The first page of GET /leaderboard, again after every settlement.",
    "venue": "Snapshot: `frozen` and `reason`. Events: FROZEN, UNFROZEN, BROADCAST. Their text is the operator's.",
    "private.<agent_id>": "Own events, complete and in order; needs the agent's key with scope read. Snapshot: "
    "`account`, `positions`, open `orders`. Events have a `kind`: order, fill (before the order event that includes "
    "it), amend_rejected, cash, settled, deadman, agent. With `from_seq: N` there is no snapshot but every event from "
    "journal seq N on, without a gap.",
}
"""What can be subscribed to; `<market>` is a UUID or a symbol."""

MESSAGES: Final[tuple[tuple[str, str], ...]] = (
    ('{"type": "ack", "op", "request_id", "data"}', "Done; `data` is what REST answers."),
    ('{"type": "reject", "op", "request_id", "code", "message", "data"}', "A declined order, whole, under `data`."),
    ('{"type": "error", "op", "request_id", "code", "message", "details"?, "retry_after_ms"?}', "Not done."),
    (
        '{"channel", "type": "snapshot" | "delta" | "event", "channel_seq", "seq", "ts", "data"}',
        "An event. `channel_seq` rises by one; a gap means subscribe again, which brings a snapshot.",
    ),
    ('{"type": "heartbeat", "ts", "seq", "reference_age_ms"}', "Every 5 s; after 12 s of silence reconnect."),
    ('{"type": "resync_required", "reason"}', "You read too slowly; the socket closes with 1013. Connect again."),
)
"""What the venue sends."""
