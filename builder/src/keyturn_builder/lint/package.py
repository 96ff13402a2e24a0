"""Lints a package: every file by name, every document by schema and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keyturn_builder.errors import Finding, Severity
from keyturn_builder.lint.global_rules import global_rules
from keyturn_builder.lint.package_rules import file_rules, reference_rules, suffix_of
from keyturn_builder.lint.rule import Document, broken
from keyturn_builder.lint.schema import Schema, check_document, salesforce_schema
from keyturn_builder.lint.value_rules import value_rules
from keyturn_builder.metadata.xml import NotMetadata, read_document

# What a file is by its suffix, so that a mistyped root does not hide it from the schema.
_ROOTS: Mapping[str, str] = {
    "eca": "ExternalClientApplication",
    "ecaOauth": "ExtlClntAppOauthSettings",
    "ecaGlblOauth": "ExtlClntAppGlobalOauthSettings",
    "ecaOauthSecurity": "ExtlClntAppOauthSecuritySettings",
    "ecaOauthPlcy": "ExtlClntAppOauthConfigurablePolicies",
    "ecaPlcy": "ExtlClntAppConfigurablePolicies",
    "permissionset": "PermissionSet",
    "flow": "Flow",
    "object": "CustomObject",
    "field": "CustomField",
}


def lint_package(files: Mapping[str, str], *, full_allowed: bool = False) -> list[Finding]:
    """Return what is wrong in the files of a package directory, text by path with `/`.

    `full_allowed` says that the scope `Full` was given a reason. Errors come first.
    """
    schema = salesforce_schema()
    findings = list(file_rules(files))
    documents = []
    for file, text in sorted(files.items()):
        if suffix_of(file) not in _ROOTS:
            continue
        try:
            root = read_document(text)
        except NotMetadata as error:
            findings.append(broken("schema", file, str(error), line=error.line))
            continue
        one = Document(file=file, stem=_stem(file), root=root)
        documents.append(one)
        findings += _judged(one, schema, full_allowed=full_allowed)
    findings += reference_rules(documents)
    return sorted(findings, key=_order)


def _judged(one: Document, schema: Schema, *, full_allowed: bool) -> Iterator[Finding]:
    expected = _ROOTS[suffix_of(one.file)]
    if one.root.name != expected:
        message = f"the root is {one.root.name}, and such a file holds {expected}"
        yield broken("schema", one.file, message, node=one.root)
    yield from check_document(one.file, one.root, schema)
    yield from value_rules(one, full_allowed=full_allowed)
    yield from global_rules(one)


def _stem(file: str) -> str:
    name = file.rpartition("/")[2].removesuffix("-meta.xml")
    return name.rpartition(".")[0]


def _order(finding: Finding) -> tuple[bool, str, int, str]:
    return (
        finding.severity is Severity.WARNING,
        finding.file,
        finding.line or 0,
        finding.rule,
    )
