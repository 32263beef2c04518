"""Bytes in and out: addresses, the broker's listeners and streams, the client's connectors."""
