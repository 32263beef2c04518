"""`tmqtt sub`."""
