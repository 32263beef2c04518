"""The terminal command `tmqtt`."""
