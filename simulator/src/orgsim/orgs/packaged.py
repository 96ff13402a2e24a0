"""What an org's installed components are to its data."""

from orgsim.data.fields import Field
from orgsim.data.packaged import Packaged
from orgsim.metadata.components import Component
from orgsim.metadata.objects import fields_of, flow_of, object_of


def packaged_of(components: list[Component]) -> Packaged:
    """Return what an org's installed components are to its data."""
    objects, flows = [], []
    fields: dict[str, tuple[Field, ...]] = {}
    mine = [component for component in components if component.installed_by is not None]
    for component in mine:
        bare = _bare(component)
        if component.kind == "CustomObject" and component.key_prefix is not None:
            objects.append(
                object_of(
                    component.node(),
                    bare,
                    namespace=component.namespace,
                    prefix=component.key_prefix,
                )
            )
        elif component.kind == "CustomObject":
            fields[bare] = tuple(fields_of(component.node(), namespace=component.namespace))
        elif component.kind == "Flow":
            flow = flow_of(component.node(), bare, namespace=component.namespace)
            flows += [] if flow is None else [flow]
    return Packaged(objects=tuple(objects), fields=fields, flows=tuple(flows))


def _bare(component: Component) -> str:
    prefix = f"{component.namespace}__"
    return component.full_name.removeprefix(prefix) if component.namespace else component.full_name
