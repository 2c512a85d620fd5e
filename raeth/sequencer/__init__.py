"""The one writer of a node: puts commands in order, stamps and applies them, commits, then answers and publishes.

    core       what callers use: start and stop, reads, submit
    writing    batches, the transaction, following other nodes, recovery
    waiting    commands in the queue
    replaying  durable rows onto a state, verified
    following  the derived tables, kept a little behind the journal
    health     what the writer says of itself

This room must not know HTTP.
"""

from raeth.idempotency import IdemKey, Outcome, PlacedOrder
from raeth.sequencer.core import STOP_S, Sequencer, SettingsDiffer
from raeth.sequencer.following import Committed, Projects
from raeth.sequencer.health import WRITE_BUCKETS_S, Health
from raeth.sequencer.waiting import Writes
from raeth.sequencer.writing import MAX_BATCH, MAX_QUEUE, SNAPSHOT_EVERY

__all__ = [
    "MAX_BATCH",
    "MAX_QUEUE",
    "SNAPSHOT_EVERY",
    "STOP_S",
    "WRITE_BUCKETS_S",
    "Committed",
    "Health",
    "IdemKey",
    "Outcome",
    "PlacedOrder",
    "Projects",
    "Sequencer",
    "SettingsDiffer",
    "Writes",
]
