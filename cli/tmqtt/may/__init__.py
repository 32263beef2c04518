"""`tmqtt may`: what a client of a running broker may do, and which rule says so.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
