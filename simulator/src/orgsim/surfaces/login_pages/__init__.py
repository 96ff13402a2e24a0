"""The pages a person sees: login, consent, and the page for errors that go nowhere else.

Plain server-rendered forms with Salesforce's own element ids; no script.
"""
