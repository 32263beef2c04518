"""What outlives a connection: messages on their way, subscriptions, and who waits for what.

`Session` is attached to one connection after the other, and does what each packet asks for. Its
halves, `Incoming`, `Outgoing` and `Subscribing`, know the connection and what they keep, not each
other. The client calls them, and what is made of them: granting, batches and requests. A session
knows connections and the queues that messages wait in; of the client that it serves, nothing.
"""
