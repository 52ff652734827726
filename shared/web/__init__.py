"""The HTTP edge that every function stands on: routes, errors, bearers, bodies, serving."""
