"""Access: who may connect, and what they may do.

What a program implements for it (`protocols`, `scram`) and tells the broker of it (`security`), who
a client is (`identity`, found out by `credentials`, passwords in fair turns by `password_checks`),
what it may do by rules (`permissions`, `authorship`) and by hooks (`hook_questions`), and what is
refused, in the log (`refusals`). `in_force` holds what was loaded: the rest of the broker is handed
that. The files it is read from are in `files`.

It knows the bounds of the broker, its timers and where clients come from, but no connection, no
session and nothing of how messages are routed. Programs use the names of `trio_mqtt.access`.
"""
