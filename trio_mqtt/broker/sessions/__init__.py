"""What waits for a client, whether it is connected or away, and how it leaves.

`Sessions` has them all by client identifier; a `Session` is one client's state, a `Subscription` its
queue and the task that empties it, and an `Outlet` the way to the client while it is connected: what
these know of a connection. Connections stand above this room, routing, events and access below it.
"""
