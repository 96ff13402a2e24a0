"""Acme: a small SaaS product that uses Keyturn as any customer of it would, by its SDK alone.

`web` is what a page needs to know of who asks, `login`, `settings` and `salesforce_page` are
the pages, `salesforce` is what Acme does in a customer's org, `serving` runs it all.
"""
