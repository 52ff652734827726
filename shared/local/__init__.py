"""The local twin: the whole system on one machine, with real servers and real processes."""
