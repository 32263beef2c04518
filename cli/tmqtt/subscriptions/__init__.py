"""`tmqtt subscriptions`: the subscriptions of a running broker's clients.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
