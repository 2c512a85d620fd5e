"""What the stream says, and the rules by which a subscriber knows that it has heard everything. Pure.

A `Subscription` judges each event of its channel: the next one, one to leave out, or proof that something is missing.
A `Cursor` remembers how far the private channel was read, so that it can be resumed exactly there. Must not know
sockets, time, or what the data mean.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

import msgspec

MAX_SUBSCRIPTIONS = 128
"""Subscriptions of one connection (contract, section 12)."""

PRIVATE = "private."


class Message(msgspec.Struct):
    """Any frame of the venue; `type` says which of the other fields are there."""

    type: str
    channel: str | None = None
    channel_seq: int = 0
    seq: int = 0
    ts: str = ""
    data: Any = None
    op: str | None = None
    request_id: str | None = None
    code: str = ""
    message: str = ""
    details: Any = None
    retry_after_ms: int | None = None
    reason: str = ""
    reference_age_ms: int | None = None


decode = msgspec.json.Decoder(Message).decode


class Event(msgspec.Struct, frozen=True):
    """One event of a channel. `type` is `snapshot`, `delta` or `event`; or `ended`, which the venue does not send:
    the channel cannot be subscribed to any more, and `data` has the venue's `code` and `message`."""

    channel: str
    type: str
    channel_seq: int
    seq: int
    """Journal sequence number: the state of the venue this belongs to."""
    ts: str
    data: Any


class Sink(Protocol):
    """Takes events the moment they come, instead of a buffer that is iterated over. Neither may wait or raise."""

    def take(self, event: Event) -> None: ...

    def freshness(self, fresh: bool) -> None:
        """What was taken is complete now, or no longer."""


class Cursor:
    """How far a private channel was read: which journal `seq`, and how many events of it.

    A cut can fall between two events of one `seq`; so reading goes on at that `seq`, and what was seen of it is left
    out. After a snapshot all of its `seq` counts as seen.
    """

    __slots__ = ("_count", "_skip", "_whole", "seq")

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self._count = 0
        self._whole = False
        self._skip = 0

    def copy(self) -> Cursor:
        other = Cursor()
        other.seq, other._count, other._whole = self.seq, self._count, self._whole
        return other

    @property
    def from_seq(self) -> int | None:
        """Where to resume; None when nothing was read yet."""
        return self.seq or None

    def rewind(self) -> None:
        """The venue will now repeat from `from_seq` on."""
        self._skip = self._count

    def snapshot(self, seq: int) -> None:
        self.seq, self._count, self._whole, self._skip = seq, 0, True, 0

    def take(self, seq: int) -> bool:
        """Count one event. False if it was seen before."""
        if seq > self.seq:
            self.seq, self._count, self._whole, self._skip = seq, 1, False, 0
            return True
        if seq < self.seq or self._whole:
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._count += 1
        return True


class State(Enum):
    """Where a subscription stands on the present connection."""

    WANTED = "not asked for"
    ASKED = "asked for, no answer yet"
    STARTING = "granted, nothing came yet"
    LIVE = "complete so far"


class Verdict(Enum):
    DELIVER = "the next one"
    DROP = "seen before, or of an earlier subscription"
    GAP = "something is missing before it"


class Subscription:
    """One channel, over all connections of a stream."""

    __slots__ = ("_last", "_resuming", "channel", "cursor", "resume", "state")

    def __init__(self, channel: str, resume: bool = True, from_seq: int | None = None) -> None:
        self.channel = channel
        self.resume = resume
        """Whether to go on where it stopped, where that can be done."""
        self.state = State.WANTED
        self.cursor = Cursor(from_seq or 0) if channel.startswith(PRIVATE) else None
        """Only the private channel can be resumed."""
        self._last = 0
        self._resuming = False

    @property
    def synced(self) -> bool:
        """Whether nothing is missing, as far as can be known. A resumed channel may have nothing to say."""
        return self.state is State.LIVE or (self.state is State.STARTING and self._resuming)

    def ask(self) -> int | None:
        """It is being asked for now. The `from_seq` to ask with, or None for a snapshot."""
        self.state = State.ASKED
        from_seq = self.cursor.from_seq if self.cursor is not None and self.resume else None
        self._resuming = from_seq is not None
        return from_seq

    def granted(self) -> None:
        """The venue said yes: what comes from now on belongs to the new subscription."""
        if self.state is State.ASKED:
            self.state = State.STARTING
            if self.cursor is not None:
                self.cursor.rewind()

    def lost(self) -> None:
        """What comes now would be incomplete: ask again."""
        self.state = State.WANTED

    def start_over(self) -> None:
        """Ask for a snapshot next time, wherever reading stopped."""
        self.state = State.WANTED
        if self.cursor is not None:
            self.cursor = Cursor()

    def judge(self, type_: str, channel_seq: int, seq: int) -> Verdict:
        """What to do with an event of this channel. After a GAP it must be asked for again."""
        if self.state is State.STARTING:
            if type_ != "snapshot" and not self._resuming:
                return Verdict.DROP
            self.state = State.LIVE
        elif self.state is not State.LIVE:
            return Verdict.DROP
        elif channel_seq != self._last + 1:
            self.state = State.WANTED
            return Verdict.GAP
        self._last = channel_seq
        if self.cursor is None:
            return Verdict.DELIVER
        if type_ == "snapshot":
            self.cursor.snapshot(seq)
            return Verdict.DELIVER
        return Verdict.DELIVER if self.cursor.take(seq) else Verdict.DROP
