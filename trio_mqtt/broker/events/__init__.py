"""What happens in a broker, for a program that follows it.

`kinds` has all kinds of events; `streams.EventStream` brings them one by one,
`samples.EventSample` some of them now and then. What happens is told to `fan_out.EventStreams`,
which the whole broker shares, and whose `wanted` says of which kinds anybody asks: of the others
no event is made.

This room knows the messages of a read (`routing`) and nothing of sessions and connections: they
tell it what happened.
"""
