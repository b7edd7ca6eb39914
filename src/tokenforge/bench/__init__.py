"""Offers a Workload and records what happened."""
