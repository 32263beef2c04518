"""`tmqtt drain`: a node of a cluster gives up its clients, before it is taken out of service.

`options` is loaded first; `command` asks the node through the engine. Nothing here is used by
another command.
"""
