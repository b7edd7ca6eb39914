"""The only room that writes SQL for deployments, events, leases, keys and queued benchmarks."""
