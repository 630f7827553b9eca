"""The client: fetches a provider's key, protects on this machine, and sends only what is protected."""
