"""Public names of ids and times: UUIDs, market symbols, ISO-8601. Remembers what it made, within bounds."""

from __future__ import annotations

from typing import Final, NamedTuple

from raeth.clock import iso_ms
from raeth.engine.ids import from_uuid, to_uuid

_MOST_REMEMBERED: Final = 4_096

_ID_MAX: Final = (1 << 63) - 1

_PLAIN: Final = 1 << 60
"""Below it an id fills no digit of its UUID that holds anything else."""

_seconds: dict[int, str] = {}

_times: dict[int, str] = {}


def iso(ts_ms: int) -> str:
    """`raeth.clock.iso_ms`, remembered: what one batch did has one time, times of one venue cluster, and the calendar
    is slow."""
    text = _times.get(ts_ms)
    if text is None:
        second, ms = divmod(ts_ms, 1000)
        if len(_times) >= _MOST_REMEMBERED:
            _times.clear()
        text = _times[ts_ms] = f"{_second(second)}{ms:03d}Z"
    return text


def _second(second: int) -> str:
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) >= _MOST_REMEMBERED:
            _seconds.clear()
        text = _seconds[second] = iso_ms(second * 1000)[:-4]
    return text


def iso_or_none(ts_ms: int | None) -> str | None:
    return None if ts_ms is None else iso(ts_ms)


class MarketName(NamedTuple):
    """A market as orders name it."""

    uuid: str
    symbol: str


class Names:
    """The public names of one venue's ids, for the venue born at `born` (epoch milliseconds)."""

    __slots__ = ("_agents", "_front", "_ids", "_markets", "born")

    def __init__(self, born: int) -> None:
        self.born = born
        self._front = to_uuid(born, 0)[:20]
        self._agents: dict[int, str] = {}
        self._markets: dict[int, MarketName] = {}
        self._ids: dict[str, int] = {}

    def uuid(self, entity_id: int) -> str:
        """Of an order or a trade: seen once or twice, so not remembered. `to_uuid`, but for the digits that all ids of
        this venue share."""
        if not 0 <= entity_id < _PLAIN:
            return to_uuid(self.born, entity_id)
        digits = f"{entity_id:015x}"
        return f"{self._front}{digits[:3]}-{digits[3:]}"

    def entity(self, text: str) -> int | None:
        """The id behind a UUID, or None when this venue cannot have made it."""
        known = self._ids.get(text)
        if known is not None:
            return known
        entity_id = from_uuid(self.born, text)
        # 0 is nobody's, and what does not fit 63 bits fits neither the journal nor a table.
        return entity_id if entity_id and entity_id <= _ID_MAX else None

    def agent(self, agent_id: int) -> str:
        text = self._agents.get(agent_id)
        if text is None:
            if len(self._agents) >= _MOST_REMEMBERED:
                self._agents.clear()
            text = self._agents[agent_id] = to_uuid(self.born, agent_id)
        return text

    def market(self, market_id: int) -> MarketName | None:
        """A market met before, or None: then ask state or store, and `learn`."""
        return self._markets.get(market_id)

    def learn(self, market_id: int, symbol: str) -> MarketName:
        name = self._markets.get(market_id)
        if name is None:
            if len(self._markets) >= _MOST_REMEMBERED:
                self._markets.clear()
                self._ids.clear()
            name = self._markets[market_id] = MarketName(to_uuid(self.born, market_id), symbol)
            self._ids[name.uuid] = market_id
        return name
