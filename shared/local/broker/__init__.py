"""A stand-in for Knative Eventing on a laptop: stores events in Redis and delivers them by its rules."""
