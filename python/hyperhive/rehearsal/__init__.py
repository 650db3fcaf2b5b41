"""A scripted Messages API on loopback: the model of `make run` without a key, and of the tests.

Nobody thinks here; everything around it is real.
"""
