"""Sockets and HTTP: one edge process."""
