"""Zips of metadata."""

import pytest

from orgsim.metadata.archive import NotAnArchive, read_archive, written_manifest, zipped

MANIFEST = written_manifest({"Flow": ["Alert"], "ApexClass": ["A"]}, version="68.0")


@pytest.mark.parametrize("root", ["", "wrapped/"])
def test_components_are_read_with_what_is_about_them(root):
    """Wrapped in a folder or not; strange paths are named."""
    files = {
        "package.xml": MANIFEST,
        "flows/Alert.flow": b"<Flow/>",
        "classes/A.cls": b"class A {}",
    }
    files |= {"classes/A.cls-meta.xml": b"<ApexClass/>", "odd/thing.txt": b""}
    archive = read_archive(zipped({root + path: body for path, body in files.items()}))
    assert [(f.kind.name, f.full_name, f.about) for f in archive.files] == [
        ("Flow", "Alert", None),
        ("ApexClass", "A", b"<ApexClass/>"),
    ]
    assert archive.strange == ("odd/thing.txt",)
    assert archive.manifest.names("Flow", "Alert")
    assert not archive.manifest.names("Flow", "Other")


def test_what_is_to_go_is_read_too():
    """From the file beside the manifest."""
    gone = written_manifest({"Flow": ["Old"]}, version="68.0")
    archive = read_archive(zipped({"package.xml": MANIFEST, "destructiveChanges.xml": gone}))
    assert archive.removed == (("Flow", "Old"),)
    assert archive.files == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"no zip", zipped({}), zipped({"a.txt": b""}), zipped({"package.xml": b"<Package>"})],
)
def test_what_cannot_be_used_is_refused(data):
    """No zip, no manifest, or none that can be read."""
    with pytest.raises(NotAnArchive):
        read_archive(data)
