"""The connection that a command is asked for: its options, and what becomes of it.

`table` has every option once; the declarations for Typer (`options`), variables, profiles and the
settings follow from it. `opening` opens the client that they ask for. Commands use `options`,
`settings` and `opening`. It knows `terminal`, and no command.
"""
