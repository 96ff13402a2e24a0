"""Consumer credentials by REST: read, and rotated in stages, by whom the org lets.

`routes.py` is HTTP in and out, `rules.py` who may and what follows, `errors.py` the words.
"""

from orgsim.surfaces.credentials_api.routes import credentials_routes as credentials_routes
