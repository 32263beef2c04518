"""`tmqtt bench`: what a broker can do, measured by clients in processes of their own.

`options` is what is loaded first: commands made of the `table` of shapes, which end in a `plan`.
`command` has one plan or two measured (`measuring`), by `workers` of which each runs `worker` with
its `clients` and `publishing`. What they count comes together in a `tally`, and `report` shows it
in the `words` for it. Counting, pacing and the words are sans-IO. Nothing here is used by another
command.
"""
