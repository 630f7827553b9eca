"""Compilation of a graph into a plan of differentiable steps."""
