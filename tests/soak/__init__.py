"""Thousands of clients that come and go: `crowd.py` is their process, `test_soak.py` the proof."""
