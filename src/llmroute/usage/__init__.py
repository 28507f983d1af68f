"""What is kept of calls: who made them, what they used, what that cost."""
