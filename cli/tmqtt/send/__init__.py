"""`tmqtt send`: a message that a running broker is to publish, or to send to one client.

`options` is loaded first; `command` asks the broker. Nothing here is used by another command.
"""
