"""`tmqtt top`."""
