"""`tmqtt check`: what a broker can do."""
