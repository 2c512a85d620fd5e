"""HTTP: credentials, budgets, routes, the error envelope and the documentation of all of it.

Everything here turns requests into commands and state into answers. It must not know how matching works.
"""
