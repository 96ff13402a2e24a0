"""Judges a package before Salesforce sees it: a schema check, and rules for External Client Apps.

`schema` compares documents with Salesforce's own generated types (`metadata_types.json`, written
by `tools/metadata_types.py`). A rule is an entry of `rule.RULES` and a function beside its likes
in `package_rules`, `value_rules` or `global_rules`; `package` runs all of them. Pure: texts in,
findings out.
"""
