"""The Tooling API as far as packages need it: query, and records of packaging objects.

`routes.py` is HTTP in and out, `objects.py` which objects there are, `view.py` their rows as
they are at this moment, `external_apps.py` those of apps, which other queries see too,
`records.py` what may be created and changed, `building.py` what a version's content must be like,
`errors.py` the words. A new object is a line in `objects.py` and its rows in `view.py`.
"""

from orgsim.surfaces.tooling_api.routes import setup_of as setup_of
from orgsim.surfaces.tooling_api.routes import tooling_routes as tooling_routes
