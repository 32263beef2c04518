"""Messages shown, written down and read again."""
