"""raeth: an agent-first exchange for binary options on one-minute Bitcoin windows.

This package root holds the version and nothing else; importing it must stay free of side effects.
"""

__version__ = "0.1.0"
