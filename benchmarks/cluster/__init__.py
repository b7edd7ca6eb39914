"""What control costs where a cluster keeps the replicas."""
