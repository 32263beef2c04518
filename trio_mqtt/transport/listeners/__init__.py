"""The broker's end of a connection: sockets that listen, and what comes before MQTT on one.

A listener is described by `options` (or a URL: `listen_urls`), opened by `listener`, and hands the
broker a `streams.ByteStream` for each client: at once, or one whose `open` goes through what comes
before MQTT, the PROXY protocol, TLS and WebSocket (`handshakes`). It works on Trio, and below the
level of Trio's streams: each coroutine between a reader and the event loop costs at each read.

The broker touches these four, and `origin`, what a connection has shown of itself; the rest is the
room's own. It knows nothing of MQTT but that WebSocket carries it, and nothing of the connectors.
"""
