"""`tmqtt request`: send a request, and print the response."""
