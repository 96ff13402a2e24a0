"""What an org knows: people, apps, policies, grants, sessions; no HTTP here.

Values are frozen; books keep them and hand changes to the store. A new kind of state is a module
with a value and its book, made in `world.py`.
"""
