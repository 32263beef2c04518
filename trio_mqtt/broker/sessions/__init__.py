"""What waits for a client, whether it is connected or away, and how it leaves.

`Sessions` has them all by client identifier. A `Session` is one client's state, a `Subscription`
its queue and the task that empties it, and an `Outlet` the way to the client while it is connected:
all that these know of a connection. Connections stand above this room; events, routing and access
below it.
"""
