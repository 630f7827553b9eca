"""The provider: a service that verifies and identifies people from protected uploads, and its store."""
