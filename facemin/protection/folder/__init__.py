"""Folder protection: a job of many photos, in one process, several, or on a cluster."""
