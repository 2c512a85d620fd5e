"""Who follows the rules of `Subscription` and `Cursor` has heard everything, once, wherever connections were cut and
whatever frames were lost with them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raeth.client.channels import Event, Message, State, Subscription, Verdict, decode

PRIVATE = "private.me"


def history(sizes: list[int]) -> list[tuple[int, int]]:
    """Events as `(seq, number within it)`; some `seq` are somebody else's."""
    return [(seq, n) for seq, size in enumerate(sizes, 1) for n in range(size)]


connections = st.lists(
    st.tuples(
        st.integers(0, 25),  # events of it that arrive
        st.lists(st.integers(0, 24), max_size=3),  # frames that get lost although the connection goes on
    ),
    max_size=8,
)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=25), connections, st.booleans(), st.integers(0, 5))
def test_a_resumed_channel_tells_everything_once(
    sizes: list[int], cuts: list[tuple[int, list[int]]], from_start: bool, start: int
) -> None:
    """The venue repeats from `from_seq` on, that included; a cut may fall between two events of one `seq`."""
    log = history(sizes)
    subscription = Subscription(PRIVATE, from_seq=1 if from_start else None)
    told: list[tuple[int, int]] = []
    floor = 0

    def connect(arriving: int, lost: list[int]) -> None:
        nonlocal floor
        subscription.lost()
        from_seq = subscription.ask()
        assert subscription.judge("event", 1, 99) is Verdict.DROP  # of an earlier subscription
        subscription.granted()
        number = 7
        if from_seq is None:
            assert subscription.judge("snapshot", number, start) is Verdict.DELIVER
            floor, from_seq = start, start + 1
        frames = [event for event in log if event[0] >= from_seq][:arriving]
        for place, event in enumerate(frames):
            number += 1
            if place in lost:
                continue
            verdict = subscription.judge("event", number, event[0])
            if verdict is Verdict.GAP:
                assert subscription.state is State.WANTED and not subscription.synced
                return
            if verdict is Verdict.DELIVER:
                told.append(event)

    for arriving, lost in cuts:
        connect(arriving, [place for place in lost if place > 0])  # before the first, nobody can tell
    connect(10_000, [])
    assert told == [event for event in log if event[0] > floor]
    assert subscription.synced


@given(st.integers(1, 50), st.lists(st.integers(1, 49), unique=True))
def test_a_public_channel_is_live_only_from_a_snapshot_on_and_without_gaps(count: int, lost: list[int]) -> None:
    subscription = Subscription("book.m")
    assert subscription.ask() is None
    subscription.granted()
    assert subscription.judge("delta", 4, 1) is Verdict.DROP and not subscription.synced
    assert subscription.judge("snapshot", 5, 1) is Verdict.DELIVER and subscription.synced
    for number in range(1, count):
        if number in lost:
            continue
        verdict = subscription.judge("delta", 5 + number, 1 + number)
        if any(missing < number for missing in lost):
            assert verdict is Verdict.GAP
            assert subscription.judge("delta", 6 + number, 2 + number) is Verdict.DROP
            return
        assert verdict is Verdict.DELIVER


def test_a_snapshot_counts_for_all_of_its_seq() -> None:
    subscription = Subscription(PRIVATE)
    subscription.ask()
    subscription.granted()
    assert subscription.judge("snapshot", 1, 10) is Verdict.DELIVER
    subscription.lost()
    assert subscription.ask() == 10
    subscription.granted()
    assert subscription.judge("event", 1, 10) is Verdict.DROP
    assert subscription.judge("event", 2, 11) is Verdict.DELIVER


def test_without_resume_it_begins_with_a_snapshot_each_time() -> None:
    subscription = Subscription(PRIVATE, resume=False)
    for _ in range(2):
        assert subscription.ask() is None
        subscription.granted()
        assert subscription.judge("event", 3, 12) is Verdict.DROP and not subscription.synced
        assert subscription.judge("snapshot", 4, 12) is Verdict.DELIVER
        subscription.lost()


def test_messages_of_every_kind_are_read() -> None:
    event = decode(b'{"channel":"markets","type":"event","channel_seq":3,"seq":9,"ts":"t","data":{"x":[1]},"new":1}')
    assert (event.channel, event.channel_seq, event.data) == ("markets", 3, {"x": [1]})
    error = decode(
        b'{"type":"error","op":null,"request_id":null,"code":"RATE_LIMITED","message":"m","retry_after_ms":5}'
    )
    assert (error.code, error.retry_after_ms, error.request_id) == ("RATE_LIMITED", 5, None)
    assert isinstance(event, Message)
    assert Event("c", "event", 1, 2, "t", None).seq == 2
