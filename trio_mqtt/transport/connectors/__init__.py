"""The client's end of a connection: from a broker's URL to a byte stream, on any AnyIO backend.

`by_url` opens a stream for whatever scheme: a connected socket (`sockets`), and over it, each in
the other, TLS and WebSocket (`layers` says what these two have in common). All of them can also
send at once, without a checkpoint. TLS and WebSocket are loaded when an address needs them. Who has
no event loop has a socket of `blocking`.

The client touches `by_url`, `blocking` and `tls_options`; the rest is the room's own. It knows
nothing of MQTT but that WebSocket carries it, and nothing of the listeners.
"""
