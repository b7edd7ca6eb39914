"""Loaders of a trace and a dataset, as a plug-in."""
