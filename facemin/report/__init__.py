"""Reports: pages, tables and plots made from values."""
