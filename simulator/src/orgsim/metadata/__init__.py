"""Metadata components as files: which kinds there are, their XML, and the zips they travel in.

`kinds.py` is the table of kinds, `shapes.py` what may stand in an External Client App's files,
`archive.py` reads and writes zips, `components.py` keeps what an org has. What an org makes of a
component is in `surfaces/metadata_api`. HTTP may not come in here. A new kind is a line in
`kinds.py`.
"""
