"""`tmqtt pub`."""
