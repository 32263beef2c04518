"""`tmqtt check`."""
