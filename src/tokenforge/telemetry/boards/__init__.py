"""What is looked at: dashboards, rules and alerts as data, from which `deploy/` and `docs/runbooks` are made."""
