"""MQTT 3.1, 3.1.1 and 5.0 without input or output: bytes to packets, packets to bytes, rules.

`server_connection` and `client_connection` are the two ends of a connection: bytes in and packets
out, packets in and bytes out, and what the peer did against the rules. `states` has the
transitions. `delivery` is QoS 1 and 2 of a session, which outlives connections. Below them packets
are decoded and encoded, and below that are properties, reason codes, topics, types on the wire.

Broker, client and tests may use all of it but what begins with an underscore. Whoever changes a
state is here: others read the attributes of these classes, and call methods to change them (a test
looks after that). No socket, no clock, no async, and nothing but the standard library, so that all
of it can be tested byte by byte, and compiled.
"""
