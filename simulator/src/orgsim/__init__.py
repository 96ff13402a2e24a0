"""Salesforce orgs to develop and test against: strict, dated, with faults that have names.

`world` holds every org of one run; `orgs` what an org knows; `surfaces` what it answers over
HTTP, each with `routes`, `rules` and `errors`; `control` is the second port through which tests
move the clock, ask for faults and read the journal. Nothing here imports another part of the
repository: the simulator reads the documents for itself.
"""
