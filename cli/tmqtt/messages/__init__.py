"""Messages as they are shown, written down and read again.

Views of payloads, JSON and messages for people; formats, records and lines for programs. Any file
may be used from outside. It knows `terminal` and how a message of `trio_mqtt` looks, and no
command. Mostly sans-IO: a message and the time in, lines or bytes out.
"""
