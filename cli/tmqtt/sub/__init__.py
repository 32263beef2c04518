"""`tmqtt sub`: subscribe, and show each message as it arrives.

`options` is what is loaded first, `command` what runs; `views` are the ways to show messages, of
which the table and the tree of topics fill a screen. Nothing here is used by another command.
"""
