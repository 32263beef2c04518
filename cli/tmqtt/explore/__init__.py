"""`tmqtt explore`: go through a broker's topics by keys, look at one, publish, remove.

`options` is what is loaded first, `command` what runs. `explorer` is the screen: the tree of
`tmqtt.topics`, beside it a topic in `detail`, with the `history` of its last messages, and a `form`
to publish; these are sans-IO. The screen, its keys and its rows are those of `sub --tree`.
Nothing here is used by another command.
"""
