"""What lasts from one connection to the next: messages on their way, and subscriptions."""
