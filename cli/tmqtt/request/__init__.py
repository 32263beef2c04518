"""`tmqtt request`: send a request, and print the response.

`options` is what is loaded first, `command` what runs. Nothing here is used by another command.
"""
