"""A trial's load from pods of a cluster: shares go out over a shelf that all of them reach, journals come back."""
