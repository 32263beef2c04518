"""The terminal: what a command prints and reads there, and how it runs and ends.

Output that never blocks, styles and escaping, a screen of one's own and keys, signals, sentences
and exit codes, and the kind of command that Typer gets. Any file may be used from outside. It
knows neither connections nor messages, only the errors of `trio_mqtt`.
"""
