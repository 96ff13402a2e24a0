"""The pages that a customer's admin sees: connect, callback, results.

Plain forms, no script. Every page is sent with `no-store`, without referrer, and under a content
security policy that allows its own style sheet and nothing else.
"""
