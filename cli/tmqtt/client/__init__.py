"""`tmqtt client`: one client of a running broker.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
