"""`tmqtt disconnect`: a client of a running broker is disconnected.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
