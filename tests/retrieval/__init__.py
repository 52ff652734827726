"""A small set of tasks with known relatives: how well memories are found."""
