"""What must outlive a broker, or a client: the truth is in their memory, this makes it survive.

For a broker, `rows` has what is kept, row by row, and the interface of every storage: load
everything at the start, append changes, close. `memory` and `sqlite` implement it; beneath
`sqlite` are its file (`sqlite_file`), the tables in it and how rows get there (`sqlite_schema`,
`sqlite_tables`), what becomes of a damaged one (`sqlite_salvage`), and the thread that all of it
runs in (`worker_thread`). `sqlite_tools` looks into a file that no broker uses.

For a client, `client_changes` has what changes in its session, and `client_store` keeps that in a
file of SQLite.

The broker touches `rows`, the client the two of its own; programs have `Storage` and its
implementations. Nothing here knows of connections, sockets, or who waits for what.
"""
