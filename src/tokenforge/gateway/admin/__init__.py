"""The admin side: deployments, benchmarks, runs, health, the OpenAPI document."""
