"""What a deployment is on Kubernetes: a pure function from a Deployment and a Site to objects as plain data."""
