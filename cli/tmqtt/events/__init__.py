"""`tmqtt events`: what happens at a running broker.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
