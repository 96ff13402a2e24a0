"""Calls to Salesforce over HTTP: token endpoint, directory, relay.

Two ways out live here. `one_shot` is one request on a connection of its own and loses no byte of
what came back: the token endpoint and what an org says of itself go by it. `relay` is aiohttp's
pool, for proxied calls that stream. `egress` decides for both which road a call takes; nothing
here decides what an answer means.
"""
