"""One connection after the other: how each is made, what it tells, and how it ends."""
