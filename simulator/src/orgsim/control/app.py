"""HTTP of the control port."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query
from starlette.types import ASGIApp

from orgsim.clock import NotADuration, parse_duration
from orgsim.control import changes, giving, views
from orgsim.control.problems import Conflict, NotThere, Problem, answer_problems, documented
from orgsim.control.requests import (
    Advance,
    AppAsked,
    AppChange,
    ClockQuery,
    FaultAsked,
    GrantsAsked,
    InstallationChange,
    JournalQuery,
    NamespaceAsked,
    OrgChange,
    Reset,
    SwitchesChange,
    UserChange,
)
from orgsim.orgs.policies import Switches
from orgsim.sites import Directory
from orgsim.world import World

_DESCRIPTION = (
    "Moves the clock, sets faults, reads the journal and makes fresh worlds. `GET /orgs`,"
    " `GET /dev-hub`, `GET /apps` and `POST /orgs/{org_id}/grants` are the only answers with"
    " secrets."
)
_BODY = documented(400, 422)
_QUERY = documented(422)


def make_control_app(world: World, directory: Directory) -> ASGIApp:
    """Make the application that the control port serves."""
    app = FastAPI(
        title="orgsim control port",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    for router in (
        _clock_routes(world),
        _people_routes(world, directory),
        _journal_routes(world),
        _fault_routes(world),
        _setup_routes(world),
        _grant_routes(world, directory),
    ):
        app.include_router(router)
    answer_problems(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Put the problem's schema into the document: no route returns it as its own answer."""
    document = app.openapi()
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    inner = schema.pop("$defs", {})
    document["components"]["schemas"] |= {"Problem": schema, **inner}


def _clock_routes(world: World) -> APIRouter:
    router = APIRouter(tags=["clock"])

    @router.get("/clock", responses=_QUERY)
    async def read_clock(query: Annotated[ClockQuery, Query()]) -> views.ClockView:
        """Tell the time, to a program that names itself with whatever skew it was given."""
        if query.program is not None:
            world.programs.add(query.program)
        return views.clock_view(world, program=query.program)

    @router.post("/clock", responses=_BODY | documented(409))
    async def move_clock(asked: Advance) -> views.ClockView:
        """Move the clock forwards."""
        try:
            world.advance(parse_duration(asked.advance))
        except NotADuration as error:
            raise Conflict(str(error)) from error
        return views.clock_view(world, program=None)

    @router.post("/reset", status_code=HTTPStatus.NO_CONTENT, responses=_BODY)
    async def reset(asked: Reset) -> None:
        """Make a fresh world on the same ports; nothing of the old one stays valid."""
        seed = world.origin.seed if asked.seed is None else asked.seed
        world.reset(seed=seed, hostile=asked.hostile)

    return router


def _people_routes(world: World, directory: Directory) -> APIRouter:
    router = APIRouter(tags=["people and apps"])

    @router.get("/orgs")
    async def list_orgs() -> list[views.OrgView]:
        """Give the customers' orgs with their people and passwords."""
        return views.orgs_view(world, directory.face("plain"))

    @router.get("/dev-hub")
    async def read_dev_hub() -> views.DevHubView:
        """Give the vendor's own org with its people and passwords."""
        return views.dev_hub_view(world, directory.face("plain"))

    @router.get("/apps")
    async def list_apps() -> list[views.AppView]:
        """Give all apps with their credentials."""
        return views.apps_view(world)

    return router


def _journal_routes(world: World) -> APIRouter:
    router = APIRouter(tags=["journal"])

    @router.get("/journal", responses=_QUERY)
    async def read_journal(query: Annotated[JournalQuery, Query()]) -> views.JournalView:
        """Give the requests that match, in order of arrival."""
        found = world.journal.select(**query.model_dump())
        cut = query.limit is not None and len(found) == query.limit
        return views.journal_view(world.journal, found, cut=cut)

    return router


def _fault_routes(world: World) -> APIRouter:
    router = APIRouter(tags=["faults"])

    @router.get("/faults")
    async def list_faults() -> views.FaultsView:
        """Give all names with their meanings, and what is set."""
        return views.faults_view(world)

    @router.post("/faults", status_code=HTTPStatus.CREATED, responses=_BODY | documented(409))
    async def set_fault(asked: FaultAsked) -> views.FaultView:
        """Set a fault; `times` 0 lasts until deleted. One that nothing can meet is refused."""
        return views.fault_view(changes.set_fault(world, asked))

    @router.delete("/faults", status_code=HTTPStatus.NO_CONTENT)
    async def delete_faults() -> None:
        """Delete all faults."""
        world.faults.clear()

    @router.delete(
        "/faults/{fault_id}", status_code=HTTPStatus.NO_CONTENT, responses=documented(404, 422)
    )
    async def delete_fault(fault_id: str) -> None:
        """Delete one fault."""
        if not world.faults.remove(fault_id):
            raise NotThere(f"there is no fault {fault_id}")

    return router


def _setup_routes(world: World) -> APIRouter:
    router = APIRouter(tags=["settings and policies"], responses=_BODY | documented(404))

    @router.post("/apps", status_code=HTTPStatus.CREATED, responses=documented(409))
    async def make_app(asked: AppAsked) -> views.AppView:
        """Make an app of one org's own, and answer with its credentials."""
        return views.app_view(changes.make_app(world, asked))

    @router.post("/dev-hub/namespaces", status_code=HTTPStatus.NO_CONTENT)
    async def link_namespace(asked: NamespaceAsked) -> None:
        """Link a namespace, so that packages may carry it."""
        world.link_namespace(asked.namespace)

    @router.patch("/apps/{consumer_key}", responses=documented(409))
    async def change_app(consumer_key: str, asked: AppChange) -> views.AppSettingsView:
        """Change the developer's settings of an app, which may be given by its name."""
        return views.app_settings_view(changes.change_app(world, consumer_key, asked))

    @router.patch("/orgs/{org_id}")
    async def change_org(org_id: str, asked: OrgChange) -> views.OrgStateView:
        """Change an org's state."""
        return views.org_state_view(changes.change_org(world, org_id, asked))

    @router.patch("/orgs/{org_id}/users/{user_id}")
    async def change_user(org_id: str, user_id: str, asked: UserChange) -> views.OrgStateView:
        """Deactivate a person or let them in again."""
        return views.org_state_view(changes.change_user(world, org_id, user_id, asked))

    @router.patch("/orgs/{org_id}/apps/{consumer_key}")
    async def change_installation(
        org_id: str, consumer_key: str, asked: InstallationChange
    ) -> views.InstallationView:
        """Change an admin's policies for an app."""
        policy = changes.change_installation(world, org_id, consumer_key, asked)
        return views.installation_view(policy)

    @router.post("/orgs/{org_id}/end-sessions")
    async def end_sessions(org_id: str) -> views.EndedView:
        """End every access token of an org, as an admin does on the session management page."""
        org = changes.find_org(world, org_id)
        return views.EndedView(ended=world.sessions.end_of_org(org.org_id))

    @router.patch("/switches")
    async def change_switches(asked: SwitchesChange) -> Switches:
        """Decide what Salesforce's documents leave open."""
        return changes.change_switches(world, asked)

    return router


def _grant_routes(world: World, directory: Directory) -> APIRouter:
    router = APIRouter(tags=["grants"])

    @router.post(
        "/orgs/{org_id}/grants",
        status_code=HTTPStatus.CREATED,
        responses=_BODY | documented(404, 409),
    )
    async def give_grants(org_id: str, asked: GrantsAsked) -> views.GrantsView:
        """Have a user grant access many times at once, as if they had gone through the pages."""
        return giving.give_grants(world, directory.face("plain"), org_id, asked)

    return router
