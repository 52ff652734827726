"""The words of the system: standard library only, no driver, no clock, no environment."""
