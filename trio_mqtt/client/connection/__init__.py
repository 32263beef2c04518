"""Connections: one after the other, from CONNECT to how each ends, and what is tried again when.

`Reconnection` serves them, `Attempts` makes them, `Reports` tells of them, and `Connection` is one.
The client takes these; the session knows `Connection` alone. That is handed packets to send, and
hands on what comes to a `PacketHandler`: who that is, nothing here knows.
"""
