"""The language every part of llmroute speaks: Anthropic Messages."""
