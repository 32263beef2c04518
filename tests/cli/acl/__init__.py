"""`tmqtt acl`."""
