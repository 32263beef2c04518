"""What can be seen and done on a running broker, one file for each kind of thing.

`administration.py` is the whole, `table.py` lists all operations: from that the HTTP API, its
description and its roles are made. `forms/` has what they are asked with and what they answer.
Whatever goes through much does so in turns of a millisecond, between which others are served.
"""
