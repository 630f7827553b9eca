"""Reconstruction attacks: from a protected image or feature back to a face."""
