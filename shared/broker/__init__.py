"""The door to the broker: pycurl stays behind it."""
