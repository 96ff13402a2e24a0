"""Salesforce's own objects, as far as this simulator has them.

Spec: Salesforce Object Reference, the pages of the objects by their names; defaults of picklists
as in a new org.
"""

from orgsim.data.fields import Field, choice, long_text, lookup, read_only, text
from orgsim.data.schema import ObjectType

INDUSTRIES = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications",
    "Construction", "Consulting", "Education", "Electronics", "Energy", "Engineering",
    "Entertainment", "Environmental", "Finance", "Food & Beverage", "Government", "Healthcare",
    "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit",
    "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation",
    "Utilities", "Other",
)  # fmt: skip
ACCOUNT_TYPES = (
    "Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller",
    "Installation Partner", "Technology Partner", "Other",
)  # fmt: skip
LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx.")
# Stage: probability in percent and forecast category, closed, won.
STAGES: dict[str, tuple[int, str, bool, bool]] = {
    "Prospecting": (10, "Pipeline", False, False),
    "Qualification": (10, "Pipeline", False, False),
    "Needs Analysis": (20, "Pipeline", False, False),
    "Value Proposition": (50, "Pipeline", False, False),
    "Id. Decision Makers": (60, "Pipeline", False, False),
    "Perception Analysis": (70, "Pipeline", False, False),
    "Proposal/Price Quote": (75, "Pipeline", False, False),
    "Negotiation/Review": (90, "Pipeline", False, False),
    "Closed Won": (100, "Closed", True, True),
    "Closed Lost": (0, "Omitted", True, False),
}
TASK_STATUSES = (
    "Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred",
)  # fmt: skip
PRIORITIES = ("High", "Normal", "Low")
PROFILES = (
    "System Administrator",
    "Standard User",
    "Minimum Access - API Only Integrations",
)
_NAME = "Name"


def id_field(label: str) -> Field:
    """Make the field `Id`."""
    return Field(
        name="Id",
        label=label,
        type="id",
        length=18,
        nillable=False,
        creatable=False,
        updateable=False,
        id_lookup=True,
    )


def _by(name: str, label: str, relationship: str) -> Field:
    return Field(
        name=name,
        label=label,
        type="reference",
        length=18,
        nillable=False,
        creatable=False,
        updateable=False,
        reference_to=("User",),
        relationship=relationship,
    )


AUDIT_FIELDS = (
    read_only("datetime", "CreatedDate", "Created Date", nillable=False),
    _by("CreatedById", "Created By ID", "CreatedBy"),
    read_only("datetime", "LastModifiedDate", "Last Modified Date", nillable=False),
    _by("LastModifiedById", "Last Modified By ID", "LastModifiedBy"),
    read_only("datetime", "SystemModstamp", "System Modstamp", nillable=False),
)
IS_DELETED = Field(
    name="IsDeleted",
    label="Deleted",
    type="boolean",
    nillable=False,
    creatable=False,
    updateable=False,
    default=False,
)
OWNER = Field(
    name="OwnerId",
    label="Owner ID",
    type="reference",
    length=18,
    nillable=False,
    reference_to=("User",),
    relationship="Owner",
)


def _flag(name: str, label: str, *, default: bool = False) -> Field:
    return Field(name=name, label=label, type="boolean", nillable=False, default=default)


def _computed_flag(name: str, label: str) -> Field:
    return read_only("boolean", name, label, nillable=False)


def _money(name: str, label: str) -> Field:
    return Field(name=name, label=label, type="currency", precision=18, scale=2)


def _phone(name: str, label: str) -> Field:
    return Field(name=name, label=label, type="phone", length=40)


def _url(name: str, label: str) -> Field:
    return Field(name=name, label=label, type="url", length=255)


def _date(name: str, label: str, *, required: bool = False) -> Field:
    return Field(name=name, label=label, type="date", required=required, nillable=not required)


def _address(kind: str, label: str) -> tuple[Field, ...]:
    return (
        Field(name=f"{kind}Street", label=f"{label} Street", type="textarea", length=255),
        text(f"{kind}City", f"{label} City", 40),
        text(f"{kind}State", f"{label} State/Province", 80),
        text(f"{kind}PostalCode", f"{label} Zip/Postal Code", 20),
        text(f"{kind}Country", f"{label} Country", 80),
    )


def _record_name(label: str, length: int) -> Field:
    return Field(
        name=_NAME,
        label=label,
        type="string",
        length=length,
        required=True,
        nillable=False,
        name_field=True,
    )


def _person_name(label: str) -> Field:
    return Field(
        name=_NAME,
        label=label,
        type="string",
        length=121,
        nillable=False,
        creatable=False,
        updateable=False,
        name_field=True,
    )


def account() -> ObjectType:
    """Make the object Account."""
    return ObjectType(
        name="Account",
        label="Account",
        plural="Accounts",
        prefix="001",
        fields=(
            id_field("Account ID"),
            IS_DELETED,
            _record_name("Account Name", 255),
            choice("Type", "Account Type", ACCOUNT_TYPES),
            lookup(
                "ParentId",
                "Parent Account ID",
                ("Account",),
                relationship="Parent",
                child_name="ChildAccounts",
            ),
            *_address("Billing", "Billing"),
            *_address("Shipping", "Shipping"),
            _phone("Phone", "Account Phone"),
            text("AccountNumber", "Account Number", 40),
            _url("Website", "Website"),
            choice("Industry", "Industry", INDUSTRIES),
            Field(name="AnnualRevenue", label="Annual Revenue", type="currency", precision=18),
            Field(name="NumberOfEmployees", label="Employees", type="int", precision=8),
            long_text("Description", "Account Description"),
            choice("Rating", "Account Rating", ("Hot", "Warm", "Cold")),
            OWNER,
            *AUDIT_FIELDS,
        ),
    )


def contact() -> ObjectType:
    """Make the object Contact."""
    return ObjectType(
        name="Contact",
        label="Contact",
        plural="Contacts",
        prefix="003",
        fields=(
            id_field("Contact ID"),
            IS_DELETED,
            lookup(
                "AccountId",
                "Account ID",
                ("Account",),
                relationship="Account",
                child_name="Contacts",
                cascade=True,
            ),
            Field(
                name="LastName",
                label="Last Name",
                type="string",
                length=80,
                required=True,
                nillable=False,
            ),
            text("FirstName", "First Name", 40),
            choice("Salutation", "Salutation", SALUTATIONS),
            _person_name("Full Name"),
            *_address("Mailing", "Mailing"),
            _phone("Phone", "Business Phone"),
            _phone("MobilePhone", "Mobile Phone"),
            lookup("ReportsToId", "Reports To ID", ("Contact",), relationship="ReportsTo"),
            Field(name="Email", label="Email", type="email", length=80, id_lookup=True),
            text("Title", "Title", 128),
            text("Department", "Department", 80),
            choice("LeadSource", "Lead Source", LEAD_SOURCES),
            _date("Birthdate", "Birthdate"),
            long_text("Description", "Contact Description"),
            _flag("HasOptedOutOfEmail", "Email Opt Out"),
            _flag("DoNotCall", "Do Not Call"),
            OWNER,
            *AUDIT_FIELDS,
        ),
    )


def opportunity() -> ObjectType:
    """Make the object Opportunity."""
    return ObjectType(
        name="Opportunity",
        label="Opportunity",
        plural="Opportunities",
        prefix="006",
        fields=(
            id_field("Opportunity ID"),
            IS_DELETED,
            lookup(
                "AccountId",
                "Account ID",
                ("Account",),
                relationship="Account",
                child_name="Opportunities",
                cascade=True,
            ),
            _record_name("Name", 120),
            long_text("Description", "Description"),
            choice("StageName", "Stage", tuple(STAGES), required=True),
            _money("Amount", "Amount"),
            Field(name="Probability", label="Probability (%)", type="percent", precision=3),
            _date("CloseDate", "Close Date", required=True),
            choice("Type", "Opportunity Type", ("Existing Business", "New Business")),
            text("NextStep", "Next Step", 255),
            choice("LeadSource", "Lead Source", LEAD_SOURCES),
            _computed_flag("IsClosed", "Closed"),
            _computed_flag("IsWon", "Won"),
            read_only("picklist", "ForecastCategory", "Forecast Category", nillable=False),
            lookup("ContactId", "Contact ID", ("Contact",), relationship="Contact"),
            OWNER,
            *AUDIT_FIELDS,
        ),
    )


def task(related_to: tuple[str, ...]) -> ObjectType:
    """Make the object Task; `related_to` are the objects that `WhatId` may name."""
    return ObjectType(
        name="Task",
        label="Task",
        plural="Tasks",
        prefix="00T",
        fields=(
            id_field("Activity ID"),
            lookup("WhoId", "Name ID", ("Contact",), relationship="Who", child_name="Tasks"),
            lookup("WhatId", "Related To ID", related_to, relationship="What", child_name="Tasks"),
            Field(name="Subject", label="Subject", type="string", length=255, name_field=True),
            _date("ActivityDate", "Due Date Only"),
            choice("Status", "Status", TASK_STATUSES, default="Not Started"),
            choice("Priority", "Priority", PRIORITIES, default="Normal"),
            _computed_flag("IsClosed", "Closed"),
            _computed_flag("IsHighPriority", "High Priority"),
            long_text("Description", "Description"),
            choice("TaskSubtype", "Task Subtype", ("Task", "Email", "Call"), default="Task"),
            choice("CallType", "Call Type", ("Internal", "Inbound", "Outbound")),
            Field(name="CallDurationInSeconds", label="Call Duration", type="int", precision=8),
            read_only("datetime", "CompletedDateTime", "Completed Date/Time"),
            read_only("reference", "AccountId", "Account ID"),
            IS_DELETED,
            OWNER,
            *AUDIT_FIELDS,
        ),
    )


def user() -> ObjectType:
    """Make the object User; users are made by the world, never over the API."""
    return ObjectType(
        name="User",
        label="User",
        plural="Users",
        prefix="005",
        kind="setup",
        fields=(
            id_field("User ID"),
            read_only("string", "Username", "Username", nillable=False),
            read_only("string", "LastName", "Last Name", nillable=False),
            read_only("string", "FirstName", "First Name"),
            _person_name("Full Name"),
            read_only("email", "Email", "Email", nillable=False),
            read_only("string", "Alias", "Alias", nillable=False),
            read_only("boolean", "IsActive", "Active", nillable=False),
            read_only("picklist", "TimeZoneSidKey", "Time Zone", nillable=False),
            read_only("picklist", "LocaleSidKey", "Locale", nillable=False),
            read_only("picklist", "LanguageLocaleKey", "Language", nillable=False),
            Field(
                name="ProfileId",
                label="Profile ID",
                type="reference",
                length=18,
                nillable=False,
                creatable=False,
                updateable=False,
                reference_to=("Profile",),
                relationship="Profile",
                child_name="Users",
            ),
            read_only("picklist", "UserType", "User Type"),
            *AUDIT_FIELDS,
        ),
    )


def profile() -> ObjectType:
    """Make the object Profile."""
    return ObjectType(
        name="Profile",
        label="Profile",
        plural="Profile",
        prefix="00e",
        kind="setup",
        fields=(id_field("Profile ID"), _person_name("Name"), *AUDIT_FIELDS),
    )


def organization() -> ObjectType:
    """Make the object Organization, of which an org has one record."""
    return ObjectType(
        name="Organization",
        label="Organization",
        plural="Organizations",
        prefix="00D",
        kind="setup",
        fields=(
            id_field("Organization ID"),
            _person_name("Name"),
            read_only("picklist", "LanguageLocaleKey", "Language", nillable=False),
            read_only("picklist", "DefaultLocaleSidKey", "Locale", nillable=False),
            read_only("picklist", "TimeZoneSidKey", "Time Zone", nillable=False),
            read_only("picklist", "OrganizationType", "Edition"),
            read_only("string", "NamespacePrefix", "Namespace Prefix"),
            read_only("string", "InstanceName", "Instance Name"),
            read_only("boolean", "IsSandbox", "Is Sandbox", nillable=False),
            read_only("datetime", "TrialExpirationDate", "Trial Expiration Date"),
            read_only("int", "FiscalYearStartMonth", "Fiscal Year Starts In"),
            *AUDIT_FIELDS,
        ),
    )


def name_union() -> ObjectType:
    """Make the object Name: what a lookup to several kinds of object shows."""
    return ObjectType(
        name="Name",
        label="Name",
        plural="Names",
        prefix="",
        kind="union",
        fields=(
            id_field("Name ID"),
            _person_name("Name"),
            read_only("picklist", "Type", "Type"),
            read_only("string", "FirstName", "First Name"),
            read_only("string", "LastName", "Last Name"),
            read_only("email", "Email", "Email"),
        ),
    )
