"""`tmqtt config`."""
