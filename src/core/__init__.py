"""Plumbing of a run. Nothing in here knows a method by name."""
