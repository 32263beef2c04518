"""`tmqtt replay`."""
