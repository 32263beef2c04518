"""The options of a connection, and what becomes of them."""
