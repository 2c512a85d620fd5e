"""One venue on many processes: who may do what only one at a time should do, and processes that share a machine.

    roles     a named role is held by one process at a time; its work runs while it is held
    locks     what a role is held by: nothing to share, files of one machine, or a PostgreSQL
    workers   the parent that starts, watches and ends processes on one port

No leader and no election: the order of everything comes from the journal, whoever writes it. Roles only keep two nodes
from doing the same work. This room must not know orders, prices or HTTP.
"""
