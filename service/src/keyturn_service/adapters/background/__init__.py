"""Work that goes on by itself: rounds over rows that say when they are due.

What is to be done, and when again, is in the domain's own tables; a round asks what is due and
calls a use case that is safe to run twice. So nothing is lost with a process, and a replica
takes over what another one left. ADR 0004 says why no engine stands here.
"""
