"""The broker: one Trio nursery for each client connection.

`server` opens a broker, `broker` is what programs see of it, `listeners` are where it listens.
`reconfiguring` gives it other settings while it runs, `reloading` has it read its files again.
What one client says and is answered is in `connections`. They share the `core`: the parts of one
broker, and how a message is routed and kept. Below it are `sessions` (what waits for a client),
`events` (what happens, for who follows it), `routing` (whom a message reaches) and `access` (who
may connect and do what). `listen` is what a listener may have of its own, `settings` what holds for
the clients of one. `persistence` keeps sessions and retained messages beyond the process,
`system_topics` tell how the broker fares. All of it stands on bounds and offers (`limits`,
`options`, `memory`, `mount_points`, `sources`), counters (`statistics`) and time (`timers`,
`turns`).

The public faces and `trio_mqtt.testing` touch `server`, `broker`, `core`, `limits`, `listen`,
`options`, `statistics`, and what rooms open on their own first pages. It knows the storage, the
listeners of the transport and the protocol, and nothing of clients.
"""
