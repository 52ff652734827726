"""embedder: gives every text of a task its vector, and never holds a task up."""
