"""The past: what was heard before, out of the streams or a file, and how the fleet looked then."""
