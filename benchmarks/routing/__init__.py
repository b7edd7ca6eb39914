"""What routing does to prefix hits and to the evenness of load, by simulation."""
