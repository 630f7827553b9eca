"""Commands of a provider: its home, service, keys and one-pass networks."""
