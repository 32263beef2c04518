"""`tmqtt request`."""
