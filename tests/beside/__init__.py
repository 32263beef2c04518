"""What stands beside a broker under load, and sees whether others are harmed.

`pair.py` is a process with a publisher and its subscriber, `figures.py` what a process uses.
"""
