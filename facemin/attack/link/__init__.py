"""Linkage attacks: whose face a protected image is."""
