"""Join what an operator needs on a bad day: open an incident, look at it, gather its evidence."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.incidents import SqlIncidents
from keyturn_service.bootstrap import open_house
from keyturn_service.domain.ids import IncidentId
from keyturn_service.domain.incident import Incident
from keyturn_service.ports import Workspaces
from keyturn_service.settings import Settings
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.open_incident import OpenIncident, latest
from keyturn_service.use_cases.report_incident import ReportIncident
from keyturn_service.use_cases.seal_service import SealService
from keyturn_service.vault.data_key_rotation import DataKeyRotation


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDesk:
    """What there is to do about incidents."""

    settings: Settings
    seal: SealService
    open: OpenIncident
    report: ReportIncident
    incidents: SqlIncidents
    workspaces: Workspaces
    data_keys: DataKeyRotation

    async def find(self, incident_id: IncidentId | None) -> Incident | None:
        """Return the incident of that id; where none is named, the latest that lists a grant.

        One that was opened again after all was ended lists none.
        """
        newest_first = await self.incidents.newest_first()
        if incident_id is None:
            for one in newest_first:
                if (await self.incidents.progress(one.id)).total:
                    return one
        return latest(newest_first, incident_id)


@contextlib.asynccontextmanager
async def incident_desk(settings: Settings) -> AsyncIterator[IncidentDesk]:
    """Give the desk, beside replicas that run or without one.

    Raises:
        CannotStart: a setting, the key file or the database is not as it has to be.
    """
    async with open_house(settings, background=False) as house:
        wiring, stores = house.wiring, house.stores
        yield IncidentDesk(
            settings=settings,
            seal=wiring.seal,
            open=OpenIncident(
                incidents=stores.incidents,
                workspaces=stores.workspaces,
                apps=stores.apps,
                sessions=stores.connect_sessions,
                seal=wiring.seal,
                drop_unconfirmed=DropUnconfirmed(
                    sessions=stores.connect_sessions,
                    end_grant=wiring.disconnect.end_grant,
                    audit=wiring.seal.audit,
                    clock=house.clock,
                ),
                audit=wiring.seal.audit,
                clock=house.clock,
                randomness=house.randomness,
            ),
            report=ReportIncident(
                incidents=stores.incidents,
                connections=stores.connections,
                apps=stores.apps,
                chains=SqlAuditChains(stores.incidents.database),
                begin=wiring.begin_connect_session,
                audit=wiring.seal.audit,
                clock=house.clock,
                origin=settings.public_urls[0],
            ),
            incidents=stores.incidents,
            workspaces=stores.workspaces,
            data_keys=house.data_keys,
        )
