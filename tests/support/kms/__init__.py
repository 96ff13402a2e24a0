"""Key management services to test against, each under its provider's own names, over TLS."""
