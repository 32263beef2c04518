"""`tmqtt bench`: what a broker can do, measured by clients in processes of their own."""
