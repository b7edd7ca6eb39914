"""One Runtime behind HTTP."""
