"""Reports: HTML pages, tables and figures made from values. It knows neither experiments nor audits."""
