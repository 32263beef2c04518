"""`tmqtt top`: a broker as its $SYS topics tell it, live.

`options` is what is loaded first, `command` what runs. `readings` make figures of the topics,
`layout` makes lines of the figures; both are sans-IO. Nothing here is used by another command.
"""
