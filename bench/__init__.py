"""The benchmark: what llmroute adds to a request, beside nginx and a direct connection.

`python -m bench` runs it; `docs/performance.md` says how it measures and what each figure means.
Linux only: it pins processes to cores and reads `/proc`.
"""
