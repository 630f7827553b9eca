"""Inputs of an audit: faces, judges and attacker knowledge, read and prepared."""
