"""Whom a message reaches.

`SubscriptionIndex` finds the subscriptions of a topic, `Router` hands messages to them,
`RetainedMessages` keeps a topic's last message, and a `Batch` is what travels: the messages of one
read with the encodings that its receivers share. A session and its subscriptions are known here by
what routing asks of them (`target.py`), so nothing here knows of sessions, connections or events.
Below it are access, limits and the protocol.
"""
