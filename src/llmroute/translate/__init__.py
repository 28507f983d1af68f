"""Messages, and the formats that are not Messages: pure functions, from one to the other."""
