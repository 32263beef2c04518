"""Access: who may connect, and what they may do.

What a program implements for it (`protocols`), who a client is (`identity`, found out by
`credentials`), what it may do by rules (`permissions`, `authorship`) and by hooks
(`hook_questions`), what was loaded and holds (`in_force`, which the rest of the broker is handed),
and what is refused, in the log (`refusals`). The files it is read from are in `files`.

It knows the bounds of the broker, its timers and where clients come from, but no connection, no
session and nothing of how messages are routed. Programs use the names of `trio_mqtt.access`.
"""
