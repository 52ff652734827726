"""The door to jobs that run as child processes of this machine."""
