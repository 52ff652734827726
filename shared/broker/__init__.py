"""The door to the broker: urllib3 stays behind it."""
