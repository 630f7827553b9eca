"""Nearest-template search, in memory or in PostgreSQL."""
