"""The audit: who was here, rebuilt from the log alone."""
