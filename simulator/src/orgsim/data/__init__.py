"""One org's records: what kinds there are, the rows it starts with, and where they are kept.

`schema.py` and its neighbours say which objects and fields exist, `furnish.py` makes the first
rows from a seed, `store.py` keeps them in SQLite and `saving.py` knows what Salesforce refuses.
HTTP and SOQL may not come in here. A new object is a function in `standard_objects.py` and its
line in `schema.py`.
"""

from orgsim.data.seeds import OrgSeed as OrgSeed
from orgsim.data.seeds import UserSeed as UserSeed
from orgsim.data.store import OrgData as OrgData
