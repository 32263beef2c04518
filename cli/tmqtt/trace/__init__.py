"""`tmqtt trace`: what a client of a running broker says and is sent.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
