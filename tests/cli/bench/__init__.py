"""`tmqtt bench`."""
