"""`tmqtt broker`: a broker, and what happens in it.

`options`, those of `protecting` among them, are what is loaded first, with `levels` and
`durability`; `command` runs the broker, with the `access` and the `data` that were asked for, shows
how far `restoring` is, and then by a `view` what happens: `welcome` says who may connect, `traffic`
makes lines of events, `library_log` hears what the library has to say, and `stamps` say when it
was. `systemd` is how a service manager starts it and hears of it; `output_keeper` has it outlive
its output.

With `--workers`, what was `asked` for is handed on by `supervising` to processes of `worker`, which
share their `ports`, an engine of their own from `engine_process`, and one `workers_screen`. Nothing
here is used by another command.
"""
