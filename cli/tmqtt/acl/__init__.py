"""`tmqtt acl`: what an access file allows, and why."""
