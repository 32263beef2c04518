"""Enhanced authentication: AUTH between a client and an authenticator (MQTT 5.0 §4.12)."""
