"""From engine objects and table rows to what the wire carries.

Pure: must not know HTTP, budgets or how reads are made.
"""
