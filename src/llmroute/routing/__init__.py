"""What to do with a call: which deployments, in which order, and what next.

No clock, no dice, no I/O: what is now and what was drawn come in as arguments.
"""
