"""What holds for every test of the router."""

# A router imports its HTTP client when it is made, once; a test of its own must not be the one
# that is found to block the event loop by it.
import llmroute.transport.httpx  # noqa: F401
