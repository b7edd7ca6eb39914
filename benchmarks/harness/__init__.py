"""Load generators side by side against a server that knows the truth. Start with `run.py`."""
