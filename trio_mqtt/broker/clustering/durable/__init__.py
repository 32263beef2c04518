"""Messages for durable sessions: in logs, once for each filter, and from there to whoever has it.

`durable` puts it together. `log_writer` stands in the router for the filters that durable sessions
have, wherever they are, and has what they match added to logs. `followers` know how far this node
is in each log that a session here follows, and hand on what comes next; `catching_up` reads for one
session what it has not had. `tracker` is how far one session is; `registering` has the cluster know
what is followed here.
"""
