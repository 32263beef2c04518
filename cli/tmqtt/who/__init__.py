"""`tmqtt who`: whom a message at a running broker would reach.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
