"""The REST API: one module a resource, and what they share in `route` and `wire`.

A module has the wire types of its resource (pydantic, unknown members refused), its routes and
the functions between wire and domain. A route names the right it needs by the type of `caller`.
Access tokens are handed out by a plain route beside the framework's, because they are asked for
most; `openapi` adds it and the proxy to the document.
"""
