"""Windows on the clock, seen from outside the engine: feeding it the reference and the prints.

The engine itself lists, opens and closes windows by its stamps; this room only brings what it cannot know. It must not
know books or agents.
"""
