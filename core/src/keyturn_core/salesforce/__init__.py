"""What Salesforce's documentation says: ids, hosts, scopes, identity, refusals.

One module a thing. Nothing here imports `keyturn_core.oauth`.
"""
