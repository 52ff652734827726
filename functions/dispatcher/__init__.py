"""dispatcher: launches each task exactly once, and looks after it until it has ended."""
