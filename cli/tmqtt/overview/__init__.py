"""`tmqtt overview`: how a running broker is.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
