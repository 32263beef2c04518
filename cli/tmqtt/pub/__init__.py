"""`tmqtt pub`: publish messages, once or on a schedule.

`options` is what is loaded first, and says what else is: `once` for one quiet message, `command`
for all else. Nothing here is used by another command.
"""
