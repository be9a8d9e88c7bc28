"""NATS: connections, publishing, live subscriptions, replay by direct get, leases."""
