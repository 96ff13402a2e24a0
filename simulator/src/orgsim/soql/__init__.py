"""Salesforce's query language over an org's SQLite.

`tokens.py` and `parser.py` turn text into `syntax.py`; `paths.py`, `values.py`, `conditions.py` and
`compiler.py` turn that into SQL in which every value is a parameter; `answers.py` turns rows into
the records of an answer. HTTP may not come in here. A new clause is a field of `syntax.Query`, a
method of the parser and a step of the compiler.

Spec: SOQL and SOSL Reference.
"""

from orgsim.soql.answers import Answered as Answered
from orgsim.soql.answers import run_query as run_query
from orgsim.soql.errors import QueryRefused as QueryRefused
