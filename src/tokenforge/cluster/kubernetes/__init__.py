"""Deployments on a Kubernetes cluster. The only room that speaks to one."""
