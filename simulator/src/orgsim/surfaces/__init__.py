"""What an org answers over HTTP, one folder a surface.

Each has `routes.py` (HTTP in and out), `rules.py` (how Salesforce behaves, with the source of
each rule) and `errors.py` (the words it uses). A new surface is a folder and a line in
`site_app.py`.
"""
