"""Authorize, token, revoke, introspect: the authorization server of each org.

`rules.py` decides on values, `routes.py` carries HTTP. A new grant is a function in
`grant_types.py` and its line in the table there.
"""
