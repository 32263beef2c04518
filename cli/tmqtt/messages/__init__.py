"""Messages as they are shown, written down and read again.

`message` is what all of it needs of one. For people there are views of payloads, JSON and messages,
for programs formats, records and lines; payloads come from files and standard input. Any file may
be used by commands. It knows `terminal` and the public names of `trio_mqtt`, and neither commands
nor connections. All but `payload_file` and `payload_input` is sans-IO.
"""
