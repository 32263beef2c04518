"""`tmqtt broker`: a broker, and what happens in it."""
