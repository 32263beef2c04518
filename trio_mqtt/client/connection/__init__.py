"""Connections: one after the other, from CONNECT to how each ends, and what is tried again when.

`Connection` hands its packets to a `PacketHandler`, so nothing here needs to know who that is.
"""
