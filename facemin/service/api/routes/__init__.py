"""Endpoints, one file an area."""
