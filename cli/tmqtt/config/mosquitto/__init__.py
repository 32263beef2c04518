"""Mosquitto's configuration, read and told as ours; no line of it is passed over.

`statements` reads the files, `importing` says what each option means here, with `listener_drafts`
for those of one listener and `not_here` for those that have no equal; `drafts` is what comes of it,
and how that is written.
"""
