"""The client: one code on AnyIO for Trio and asyncio.

`opening` makes a `Client`, which is what programs call; it leads to the session, which outlives
connections, and to these, which know nothing of it but a Protocol. From outside, the public face
and `sync` take `opening.open_client`, `Client`, `Message`, `Messages`, and what they are given. It
knows the protocol, the connectors of the transport and the store, and nothing of brokers.
"""
