"""What we remember: runs and artifacts."""
