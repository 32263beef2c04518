"""`tmqtt passwd`."""
