"""MQTT 3.1, 3.1.1 and 5.0 without input or output: bytes to packets, packets to bytes, rules."""
