"""What several kinds of tests stand on: databases, browsers, worlds. No tests live here."""
