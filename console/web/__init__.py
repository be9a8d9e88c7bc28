"""The console in a browser: a process for each tab, behind a server on loopback."""
