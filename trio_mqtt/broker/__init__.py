"""The broker: one Trio nursery for each client connection."""
