"""What an install leaves out of permission sets."""

from hypothesis import given
from hypothesis import strategies as st

from orgsim.metadata.xml_text import tree
from orgsim.orgs.installing import without_what_is_not_packaged

NAMES = st.sampled_from(["Account", "Usage__c", "Alert__e", "Contact"])


@given(st.lists(NAMES, max_size=5))
def test_only_objects_of_the_package_stay_in_a_permission_set(names):
    """Whatever stands beside them."""
    parts = [tree("objectPermissions", ("object", name)) for name in names]
    kept = without_what_is_not_packaged(tree("PermissionSet", ("label", "R"), *parts))
    left = [part.value("object") for part in kept.all("objectPermissions")]
    assert left == [name for name in names if name.endswith(("__c", "__e"))]
    assert kept.value("label") == "R"


def test_fields_go_by_their_own_name_and_user_permissions_go_always():
    """A field of the package on a standard object belongs to the package."""
    node = tree(
        "PermissionSet",
        tree("fieldPermissions", ("field", "Contact.Email")),
        tree("fieldPermissions", ("field", "Contact.Plan__c")),
        tree("userPermissions", ("name", "ApiEnabled")),
    )
    kept = without_what_is_not_packaged(node)
    assert [part.value("field") for part in kept.children] == ["Contact.Plan__c"]
