"""The way to the engine: one pipeline for all that is asked in a turn of the loop.

`calls` has what is asked, scripts, and how answers fail; it is all that most need at run time.
`engine` opens an engine, and reaches it again when it was gone: `attached` are all connections
while it is there, `links` one of them with its pipeline, `readers` those that wait for what comes
in a stream, `connecting` and `connection` how one comes about and what it is, `addresses` says what
URLs mean.

Here alone the package coredis is loaded, and of it what takes the engine's answers apart, and its
errors. Its commands with their types would cost several times as much for each call; what is asked
here is written out, and answers are bytes, numbers, lists and dictionaries as they come.
"""
