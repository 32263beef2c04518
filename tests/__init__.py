"""The tests of trio-mqtt."""
