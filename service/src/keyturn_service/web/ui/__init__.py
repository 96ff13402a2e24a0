"""The pages that a customer's admin sees: connect, callback, results.

Plain forms that need no script. Every page is sent with `no-store`, without referrer, and under a
content security policy that allows its own style sheet and nothing else; the connect page may run
one script of ours, which looks whether the package is installed.
"""
