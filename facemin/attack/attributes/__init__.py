"""Attribute inference: age, gender, race and expression read from protected faces."""
