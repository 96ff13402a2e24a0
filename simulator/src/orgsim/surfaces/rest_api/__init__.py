"""`/services/data`: records, queries, describes, composite calls, actions and limits of an org.

`routes.py` is HTTP in and out, `resources.py` the table of what there is, `errors.py` the words;
each other module is one family of resources. A new resource is a function that takes a `Call`
and a line in the table.
"""

from orgsim.surfaces.rest_api.routes import rest_routes as rest_routes
