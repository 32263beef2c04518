"""`tmqtt pub`: publish messages, once or on a schedule.

`options` is what is loaded first; it makes a `plan`, which `once` carries out where it is one quiet
message, and else `command`, with `payloads`, a `schedule` and a `view`. Nothing here is used by
another command.
"""
