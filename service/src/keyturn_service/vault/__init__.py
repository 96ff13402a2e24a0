"""The vault: bytes in, sealed bytes out, and back.

Envelope encryption: a data key for each workspace seals values, a key-encryption key of a key
source wraps the data keys. What lives here decides when keys change and what a seal binds; it
touches no file, network or clock by itself. A new key source is an adapter of `key_source`.
"""
