"""`tmqtt broker`."""
