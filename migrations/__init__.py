"""Plain SQL, applied in the order of the numbers by `facteur migrate`. A file once released never changes."""
