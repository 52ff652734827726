"""The door to artifact storage."""
