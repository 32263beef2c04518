"""A broker as a node of a cluster: what its parts and the engine have to do with each other.

`cluster_node` puts it together, and is what the broker's parts know as `Elsewhere`. What this
node's clients want, `interests` tells the others; what theirs want, stands in the router:
`other_node` is one of them, as the recipient that passes messages on, with the `outbox` of what is
on its way to its inbox. `arrivals` hands on what comes by the inbox of this one, `following` does
what the stream of changes says. `journal` and `storage` keep what clients are promised.

`cluster_sessions` has sessions come and go: `session_claims` brings them, `departures` gives them
up, `due_sessions` does what is due for those that no node has, `session_membership` what it means
for them that nodes come and go; `session_holds` knows which this node has, and `key_turns` has one
thing done after the other for each.

Of the engine's room it uses what `trio_mqtt.cluster` offers; of the broker, `core` and what lies
below it.
"""
