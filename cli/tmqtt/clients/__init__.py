"""`tmqtt clients`: who is connected to a running broker, or away.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
