"""What the writing session does under the head lock, as two functions of the database, one round trip each.

Whoever holds the lock keeps all nodes waiting, and what that costs on a busy machine is how often its process has to
wake up. So taking the lock answers with the state, and the rows travel with their COMMIT in one message; of that
message the driver takes text only, so values are spelt out here. The functions belong to the session: the database
keeps nothing of them, and nodes of another version do not meet them. Must not know when they are called, nor what an
error means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raeth.journal.base import Key, Row

_HEAD = "FROM journal_meta ORDER BY transactions DESC LIMIT 1 FOR UPDATE"
LOCK_HEAD = f"SELECT {_HEAD}"

# The lock first and alone: each statement of a volatile function sees all that was committed when it began, so the
# second sees what was committed while the first waited.
_LOCK = f"""
CREATE OR REPLACE FUNCTION pg_temp.journal_lock(
    known_seq bigint, owners bigint[], texts text[], behind_max bigint,
    OUT bigint, OUT bigint, OUT bigint, OUT bigint, OUT bigint, OUT bytea,
    OUT bigint[], OUT bigint[], OUT bytea[], OUT bytea[], OUT bytea[],
    OUT bigint[], OUT text[], OUT bigint[], OUT bigint[], OUT bytea[],
    OUT bigint
) RETURNS SETOF record LANGUAGE plpgsql VOLATILE AS $function$
BEGIN
    PERFORM {_HEAD};
    RETURN QUERY
    SELECT meta.head_seq, meta.transactions, meta.projected_seq, last.seq, last.ts, last.hash, behind.*, hits.*,
        floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM (SELECT * FROM journal_meta ORDER BY transactions DESC LIMIT 1) AS meta
    LEFT JOIN LATERAL (SELECT seq, ts, hash FROM journal ORDER BY seq DESC LIMIT 1) AS last ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(seq), array_agg(ts), array_agg(command), array_agg(events), array_agg(hash)
        FROM (SELECT * FROM journal WHERE seq > $1 ORDER BY seq LIMIT $4) AS rows
    ) AS behind
    CROSS JOIN LATERAL (
        SELECT array_agg(hit.owner), array_agg(hit.key), array_agg(hit.seq), array_agg(hit.place),
            array_agg(hit.fingerprint)
        FROM unnest($2, $3) AS wanted (owner, key)
        CROSS JOIN LATERAL (
            SELECT * FROM journal_keys AS known WHERE known.owner = wanted.owner AND known.key = wanted.key LIMIT 1
        ) AS hit
    ) AS hits;
END
$function$
"""  # noqa: S608, what is put in is ours
TAKE_LOCK = "SELECT * FROM pg_temp.journal_lock($1, $2, $3, $4)"

_APPEND = """
CREATE OR REPLACE FUNCTION pg_temp.journal_append(
    seqs bigint[], times bigint[], commands bytea[], events bytea[], hashes bytea[],
    owners bigint[], texts bytea[], key_seqs bigint[], places bigint[], fingerprints bytea[],
    new_head_seq bigint, new_projected_seq bigint, transactions_before bigint
) RETURNS void LANGUAGE plpgsql VOLATILE AS $function$
BEGIN
    INSERT INTO journal (seq, ts, command, events, hash) SELECT * FROM unnest($1, $2, $3, $4, $5);
    INSERT INTO journal_keys (owner, key, seq, place, fingerprint)
    SELECT owner, convert_from(text, 'UTF8'), seq, place, fingerprint
    FROM unnest($6, $7, $8, $9, $10) AS named (owner, text, seq, place, fingerprint);
    UPDATE journal_meta SET head_seq = $11, transactions = transactions + 1, projected_seq = $12
    WHERE transactions = $13;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the journal''s head moved while it was locked' USING ERRCODE = 'data_corrupted';
    END IF;
    IF cardinality($1) > 0 THEN
        PERFORM pg_notify('raeth_journal', $11::text);
    END IF;
END
$function$
"""

CREATE = f"{_LOCK}; {_APPEND}"


def append_and_commit(
    rows: Sequence[Row], keys: Sequence[Key], head_seq: int, projected_seq: int, transactions: int
) -> str:
    """One message: what the transaction appends, then COMMIT, which is not reached after an error.

    Only digits and commas come from the values. Raises what a value raises that is no int, bytes or text."""
    seqs, times, commands, events, hashes = zip(*rows, strict=True) if rows else ((),) * 5
    owners, texts, key_seqs, places, fingerprints = zip(*keys, strict=True) if keys else ((),) * 5
    arguments = (
        *(_ints(seqs), _ints(times), _blobs(commands), _blobs(events), _blobs(hashes)),
        *(_ints(owners), _blobs(text.encode() for text in texts), _ints(key_seqs), _ints(places)),
        *(_blobs(fingerprints), f"{head_seq:d}", f"{projected_seq:d}", f"{transactions:d}"),
    )
    return f"SELECT pg_temp.journal_append({', '.join(arguments)}); COMMIT"


def _ints(values: Iterable[int]) -> str:
    return "'{" + ",".join([f"{value:d}" for value in values]) + "}'"


def _blobs(values: Iterable[bytes]) -> str:
    return "'{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}'"
