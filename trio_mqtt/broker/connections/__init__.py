"""What one client says, and what it is answered.

A `Connection` is one client's, from accept to close: its nursery and its read loop. All that stands
beside it takes the `Link`, the lower half of a connection, and never looks up: CONNECT and CONNACK,
the exchange by AUTH, the packets of a read, requests, acknowledgements, and the program's hooks.
Only the broker itself stands above this room. Below it is the `Core`: what all connections share.
"""
