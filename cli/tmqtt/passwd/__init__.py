"""`tmqtt passwd`: set, remove and check passwords in a password file."""
