"""The HTTP interface: endpoints, schemas, middleware."""
