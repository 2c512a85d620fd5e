"""Measurements of the venue, as ratios inside one run where the machine's noise would drown an absolute figure."""
