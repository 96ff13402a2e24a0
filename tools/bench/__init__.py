"""`make bench`: what is said to be fast, beside its baseline, alternating in one run.

Every program here runs by itself: PostgreSQL, the service, the bare programs it is compared with,
the org that both relays call, and the load. Two cores carry them all, so a figure means something
only beside its baseline of the same run.
"""
