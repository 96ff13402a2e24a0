"""OAuth as the RFCs write it: one module a request, which writes it and reads its answer.

Answers come in as plain values, so a test needs no server. `client` is where Salesforce's
consumer key becomes `client_id`, and the only such place.
"""
