"""What can be seen from outside: metrics, spans and log fields, each defined once in `catalogue`."""
