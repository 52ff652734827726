"""The door to Redis: what may be lost. Redis away is slower, never wrong."""
