"""HTTP in front of the use cases: REST API, access token, proxy, other people's faces, pages.

Each handler reads a request, calls one use case and writes its answer. Refusals become problems
in `problems` and nowhere else. `wiring` says what is needed, `app` puts it together.
"""
