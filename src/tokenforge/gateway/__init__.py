"""The front door: OpenAI's API and our own, over all deployments."""
