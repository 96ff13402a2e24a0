"""What customers' admins get beside the package."""

from __future__ import annotations

from keyturn_builder.admin_guide import admin_files, setup_steps
from keyturn_builder.app_config import AppConfig, Flow
from keyturn_builder.metadata.permission_set import admin_permission_set


def test_the_folder_can_be_deployed_as_it_is(config: AppConfig) -> None:
    """In the format of the Metadata API: `sf` and Workbench take it."""
    files = admin_files(config, admin_permission_set(config.app, config.objects))
    assert set(files) == {
        "SETUP.md",
        "deploy/package.xml",
        "deploy/permissionsets/Acme_Connect_Access.permissionset",
    }
    assert "<members>Acme_Connect_Access</members>" in files["deploy/package.xml"]


def test_the_steps_name_what_the_config_asks_for(config: AppConfig) -> None:
    """Objects, addresses, the contact, and where in Setup."""
    text = setup_steps(config)
    assert "- Contact, read, edit: Email, Phone" in text
    assert "- 192.0.2.16 to 192.0.2.23" in text
    assert "integrations@acme.example" in text
    assert "External Client App Manager" in text
    assert "Pre-authorize" in text


def test_pre_authorization_is_for_server_to_server_only(config: AppConfig) -> None:
    """Nobody reads steps that do not concern them."""
    app = config.app.model_copy(update={"flows": [Flow.CODE], "egress": []})
    text = setup_steps(config.model_copy(update={"app": app}))
    assert "Pre-authorize" not in text
    assert "calls Salesforce from" not in text
