"""The configuration of a broker: read, checked, and what opens from it."""
