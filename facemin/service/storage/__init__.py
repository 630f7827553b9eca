"""Provider storage: templates, grants of tokens, the audit log, back-ups, and search."""
