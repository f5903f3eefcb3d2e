"""`labgrid:PLACE`: a board of a lab that labgrid manages; the place says where it is, SSH does the rest.

The user acquires the place (`labgrid-client -p PLACE acquire`), and `LG_COORDINATOR` names the coordinator.
"""

import re

from edgekit.devices.device import Address, Device, Driver, drivers
from edgekit.devices.faults import unreachable
from edgekit.devices.ssh import SshDevice
from edgekit.errors import EdgekitError

_PLACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def open_place(address: Address) -> Device:
    """The board of an acquired place.

    Raises:
        EdgekitError: EK701 without labgrid, EK601 when the coordinator or the place cannot be had.
    """
    if not _PLACE.fullmatch(address.rest):
        raise EdgekitError("EK106", what=f"{address.rest!r} is no place", where=address.name, fix="write labgrid:PLACE")
    return SshDevice(address, place=_network_address(address))


def _network_address(address: Address) -> str:
    """`user@host:port` of the place's NetworkService."""
    try:
        from labgrid import Target
        from labgrid.remote.client import Error
        from labgrid.resource.remote import RemotePlace
    except ImportError as error:
        raise EdgekitError(
            "EK701", what="labgrid is not installed", where=address.name, fix="pip install 'edgekit[labgrid]'"
        ) from error
    try:
        target = Target("edgekit")
        RemotePlace(target, name=address.rest)
        service = target.get_resource("NetworkService", wait_avail=False)
    except Error as error:
        fix = f"set LG_COORDINATOR; labgrid-client -p {address.rest} acquire"
        raise unreachable(f"labgrid: {error}", address.name, fix) from error
    return f"{service.username}@{service.address}:{service.port}"


drivers.add("labgrid", Driver("labgrid:PLACE", "a board of a lab, through labgrid", open_place), __name__)
