"""The objects of an org: Salesforce's own, and those of the package where it is installed."""

from dataclasses import replace

from orgsim.data import hub_objects, package_objects, standard_objects
from orgsim.data.packaged import NOTHING, Packaged
from orgsim.data.schema import ObjectType, Schema


def schema_of(
    namespace: str | None, *, dev_hub: bool = False, brought: Packaged = NOTHING
) -> Schema:
    """Return an org's schema; `namespace` is that of the package it had from the start.

    `brought` is what packages brought that were installed since. A Dev Hub has objects of its
    own; elsewhere they are unknown, by which clients tell.
    """
    packaged: tuple[ObjectType, ...] = ()
    related: tuple[str, ...] = ("Account", "Opportunity")
    if namespace is not None:
        packaged = (package_objects.usage(namespace), package_objects.renewal_alert(namespace))
        related = (*related, package_objects.usage_name(namespace))
    own = (
        standard_objects.account(),
        standard_objects.contact(),
        standard_objects.opportunity(),
        standard_objects.task(related),
        standard_objects.user(),
        standard_objects.profile(),
        standard_objects.organization(),
        standard_objects.name_union(),
    )
    extended = (
        replace(known, fields=(*known.fields, *brought.fields.get(known.name, ()))) for known in own
    )
    hub = hub_objects.all_of_them() if dev_hub else ()
    return Schema((*extended, *packaged, *hub, *brought.objects))
