"""A client with a store: what it has to deliver outlives the program."""
