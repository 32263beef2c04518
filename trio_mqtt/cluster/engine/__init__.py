"""The way to the engine: one pipeline for all that is asked in a turn of the loop.

`calls` has what is asked, scripts, and how answers fail; it is all that most need at run time.
`engine` opens an engine and keeps its connections: `links` is one connection with its pipeline,
`readers` are those that wait for what comes in a stream, `addresses` says what URLs mean.

Here alone the package coredis is loaded, and only its connections are used: they know the protocol
of Redis, its handshake, and TLS. Its commands with their types would cost several times as much
for each call; what is asked here is written out, and answers are bytes, numbers, lists and
dictionaries as they come.
"""
