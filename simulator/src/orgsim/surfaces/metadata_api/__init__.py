"""The Metadata API, by SOAP and by REST: deploy, retrieve, list, describe.

`routes.py` is HTTP in and out, `soap.py` envelopes, `operations.py` what may be asked,
`rules.py` what an org refuses, `deploying.py` and `retrieving.py` what it then does; `apps.py`
makes registrations of External Client Apps of what was deployed. A rule is a function in
`rules.py` that gives problems, and a line in its table.
"""

from orgsim.surfaces.metadata_api.routes import metadata_routes as metadata_routes
