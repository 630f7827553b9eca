"""The demonstration, drawn or in a browser."""
