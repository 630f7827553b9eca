"""What a provider stores: templates, tokens' grants, the audit log, back-ups, and the search in them."""
