"""`tmqtt sub`: subscribe, and show each message as it arrives.

`options` is what is loaded first, `command` what runs. Messages come through `filtering` or
`retained` to views: lines for programs (`views`), `people_view`, a `recording`, `removing`, and
`topics_view`, which fills a screen with a table or a tree of topics, made by sans-IO frames.
Nothing here is used by another command.
"""
