"""`tmqtt config`: what a configuration file may have, what is wrong with one, and what holds.

`options.py` is quick to load; all else waits until a command is called.
"""
