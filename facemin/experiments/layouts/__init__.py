"""Report layouts: pages, tables and plots made of records."""
