"""Several brokers that behave as one: all that speaks with the engine, Redis or Valkey.

An engine keeps what the nodes of a cluster share; a node is one broker's process. `settings` says
where the engine is and what it keeps at most, `keys` how all that is in it is called, and `engine`
is the way to it: connections, pipelines, scripts, what becomes of them when it goes and returns.
What stands on these has a file for each purpose.

Nothing here knows of the broker, which uses this room only where a cluster is asked for: the
package that speaks with the engine is loaded by `engine` alone, and takes its time.
"""
