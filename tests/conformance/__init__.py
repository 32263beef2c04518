"""What the standards demand, proved from outside, and the account of it."""
