"""Mutation testing: small changes of the library's functions, and whether a test notices each.

`mutants` makes them, `switching` puts one in force in this process, `rounds` runs the tests on
each in a fork of its own, and `python -m tests.mutation` tells of those that no test noticed.
"""
