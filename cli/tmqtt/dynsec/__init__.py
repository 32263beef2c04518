"""`tmqtt dynsec`: users, groups and roles of a running broker.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
