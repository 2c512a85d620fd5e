"""The calls of the venue, one module a section of the contract; each offers `router`, a `VenueRouter`."""
