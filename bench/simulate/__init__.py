"""Thousands of Claude Code sessions against scripted failures, through the real router.

Time is virtual and everything drawn has a seed, so that a run of eight hours takes seconds and the
same seed gives the same figures.  What decides is the product's own code; what is made up here is
the world around it: the sessions, the client that retries, the upstreams and their failures.
"""
