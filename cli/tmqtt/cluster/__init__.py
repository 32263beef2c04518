"""`tmqtt cluster`: how a cluster of brokers fares.

`options` is loaded first; `command` asks the engine and shows what it says, by the lines that
`layout` makes. Nothing here is used by another command.
"""
