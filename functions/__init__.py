"""The six functions, one folder each; no function knows another."""
