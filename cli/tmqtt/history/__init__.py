"""`tmqtt history`: what came on topics, as a broker has kept it.

`options` is what is loaded first, `command` asks a broker or reads its file, `lines` has how it
looks.
"""
