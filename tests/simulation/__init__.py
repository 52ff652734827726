"""Learning from outcomes, against a world in which it is known which memories help."""
