"""What may be wrong with an install: checks over facts, and what is seen to have the facts."""
