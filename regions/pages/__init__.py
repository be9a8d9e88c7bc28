"""Reports as self-contained HTML pages: no script, nothing from elsewhere."""
