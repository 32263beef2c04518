"""What must outlive a broker, or a client: the truth is in their memory, this makes it survive.

For a broker, `records` has what is kept, in the terms of the standard, and the interface of every
storage: load everything at the start, append changes, close. `memory` implements it. For a client,
`client_changes` has what changes in its session, and `client_store` keeps that in a file of SQLite.

The broker touches `records`, the client the two of its own; programs have `Storage` and
`MemoryStorage`. Nothing here knows of connections, sockets, or who waits for what.
"""
