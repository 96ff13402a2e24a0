"""Keeps the connections of a vendor to its customers' Salesforce orgs.

Rooms: `domain` (what is true of a connection whatever the database), `ports` (what use cases
need from outside), `use_cases` (one module a verb), `vault` (bytes in, bytes out), `adapters`
(one folder an outside thing), `web` and `cli` (HTTP, HTML and argv into use cases and back),
`settings` (the only reader of the environment), `bootstrap` (the only place that joins it all).
"""
