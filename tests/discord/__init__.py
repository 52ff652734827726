"""A Discord that behaves: a real HTTP server with its rules, for functions and for the door to it."""
