"""Bytes to pieces and back: JSON objects, event streams, headers.  No I/O."""
