"""An MQTT broker and clients on structured concurrency."""
