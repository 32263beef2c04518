"""What outlives a connection: messages on their way, subscriptions, and who waits for what.

A session is attached to one connection after the other, and does what each packet asks for. It
knows connections and the queues that messages wait in; of the client that it serves, nothing.
"""
