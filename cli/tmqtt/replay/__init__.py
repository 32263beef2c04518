"""`tmqtt replay`: publish messages again that `sub --record` has written.

`options` is what is loaded first, `command` what runs; `messages.records` knows the lines. Nothing
here is used by another command.
"""
