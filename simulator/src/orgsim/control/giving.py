"""Grants given in bulk: what a world needs where many customers are connected already."""

from orgsim.clock import parse_duration
from orgsim.control.changes import find_app, find_org
from orgsim.control.problems import Conflict, NotThere
from orgsim.control.requests import GrantsAsked
from orgsim.control.views import GrantsView, GrantView
from orgsim.sites import Face
from orgsim.surfaces.oauth.errors import Refused
from orgsim.surfaces.oauth.issuing import Party, approve, open_session, scope_text
from orgsim.surfaces.oauth.rules import check_app_in_org, check_user_at_authorize
from orgsim.world import World


def give_grants(world: World, face: Face, org_id: str, asked: GrantsAsked) -> GrantsView:
    """Have a user approve an app so many times, with an access token for each.

    The checks of the authorization hold; as there, no user has more than five approvals of an
    app unless that is switched.
    """
    org, app = find_org(world, org_id), find_app(world, asked.app)
    user = org.user(asked.user_id)
    if user is None:
        raise NotThere(f"there is no user {asked.user_id} in that org")
    policy = world.installation(org.org_id, app.consumer_key)
    try:
        check_app_in_org(app, org, policy)
        check_user_at_authorize(org, user, policy)
    except Refused as refused:
        raise Conflict(f"the org would not let them: {refused.reason.description}") from refused
    if asked.count > world.switches.approvals_per_user_and_app:
        raise Conflict("a user has not so many approvals: change approvals_per_user_and_app")
    party = Party(world=world, face=face, site=world.login_site(org), app=app, org=org, user=user)
    given_at = party.now - parse_duration(asked.age)
    given = []
    for _ in range(asked.count):
        grant, refresh_token = approve(party, scopes=app.scopes, given_at=given_at)
        access_token = open_session(party, scopes=grant.scopes, grant_id=grant.grant_id)
        given.append(GrantView(access_token=access_token, refresh_token=refresh_token))
    return GrantsView(
        id=party.identity_url,
        instance_url=party.instance_url,
        scope=scope_text(party, app.scopes),
        grants=given,
    )
