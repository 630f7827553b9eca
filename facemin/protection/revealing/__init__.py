"""Refusal of results that still show the plain face: resemblance, inversion, and the verdict."""
