"""Measures of how much of a face an image shows, each against one way of hiding it."""
