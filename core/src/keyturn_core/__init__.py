"""What the OAuth RFCs and Salesforce's documentation say.

Pure: no input or output, no clock, no randomness; times and random bytes are handed in. Rooms:
`oauth` (one module a request: it writes it and reads the answer), `salesforce` (ids, hosts,
scopes, refusals), `secrets` and `errors`. A line belongs here when an RFC or Salesforce's
documentation says it.
"""
