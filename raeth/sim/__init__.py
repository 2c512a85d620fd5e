"""The engine as a library: agents against the venue's own engine in simulated time."""
