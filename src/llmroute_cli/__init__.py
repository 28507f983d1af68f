"""The command `llmroute`: each of its commands parses, calls the library, and prints."""
