"""C-STORE as SCU: one association for all results of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import read_native
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.outcomes import meaning_of, outcome_of
from dibmg_node.services.scu import DimsePeer, plain_context
from dibmg_node.services.tls import TlsFiles
from dibmg_node.storage.settlement import Settlement


@dataclass(frozen=True)
class CStoreSender:
    """A destination that takes C-STORE."""

    calling_aet: str
    called_aet: str
    address: str
    port: int
    tls: TlsFiles | None = None

    def send(self, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        """Send results over one association.

        Compressed results are offered as they are and uncompressed; a peer that takes only the latter
        gets the same pixels uncompressed.

        Raises:
            PeerUnavailableError: No connection, no association for now, or it broke.
            PeerRefusedError: The association was rejected for good, or no context was accepted.
        """
        association = self._associate(parcels)
        settlements: list[Settlement] = []
        try:
            for parcel in parcels:
                waits = parcel.is_report and any(one.state is DeliveryState.OWED for one in settlements)
                settlements.append(_later(parcel) if waits else _store(association, parcel))
        except PeerUnavailableError as error:
            # pynetdicom may still call a broken association established: nothing more is tried on it
            association.abort()
            broken = parcels[len(settlements) :]
            # the first of them was on its way
            settlements += [
                Settlement(p.sop_uid, DeliveryState.OWED, "", str(error), in_doubt=p is broken[0])
                for p in broken
            ]
        finally:
            if association.is_established:
                association.release()
        return settlements

    def echo(self) -> None:
        """Ask the peer for a sign of life.

        Raises:
            PeerUnavailableError: There was none.
            PeerRefusedError: The association was rejected, or it does not answer C-ECHO.
        """
        association = self.peer.associate([plain_context(facts.VERIFICATION)])
        try:
            status = association.send_c_echo()
        finally:
            if association.is_established:
                association.release()
        if not status:
            raise PeerUnavailableError(f"{self.who}: no answer to C-ECHO")
        if status.Status != 0:
            raise PeerRefusedError(f"{self.who}: C-ECHO answered with 0x{status.Status:04X}")

    @property
    def who(self) -> str:
        """The peer in words: AE title and address."""
        return self.peer.who

    @property
    def peer(self) -> DimsePeer:
        """The other side of every association."""
        return DimsePeer(self.calling_aet, self.called_aet, self.address, self.port, self.tls)

    def _associate(self, parcels: Sequence[Parcel]) -> Association:
        # one context for each syntax: with several in one context the peer picks, not we
        wanted = dict.fromkeys(
            (parcel.sop_class_uid, syntax)
            for parcel in parcels
            for syntax in offered_syntaxes(parcel.transfer_syntax_uid)
        )
        return self.peer.associate([build_context(cls, syntax) for cls, syntax in wanted])


def offered_syntaxes(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Transfer syntaxes that a result is offered in, most wanted first: as it is, and uncompressed."""
    return tuple(dict.fromkeys((transfer_syntax_uid, facts.EXPLICIT_LE, facts.IMPLICIT_LE)))


def _store(association: Association, parcel: Parcel) -> Settlement:
    """Send one result; a peer that takes neither form of it refuses it.

    Raises:
        PeerUnavailableError: The association broke.
    """
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == parcel.sop_class_uid
    }
    if not association.is_established:
        raise PeerUnavailableError("the association broke")
    if not accepted:
        comment = "no presentation context accepted for this kind of object"
        return Settlement(parcel.sop_uid, DeliveryState.REFUSED, "", comment)
    try:
        answer = association.send_c_store(_in_syntax(parcel, accepted))
    except RuntimeError as error:
        raise PeerUnavailableError("the association broke") from error
    if "Status" not in answer:
        raise PeerUnavailableError("no answer (time-out or abort)")
    status = int(answer.Status)
    # the peer's own Error Comment is left out: it may quote the patient
    return Settlement(parcel.sop_uid, outcome_of(status), f"0x{status:04X}", meaning_of(status))


def _later(parcel: Parcel) -> Settlement:
    return Settlement(parcel.sop_uid, DeliveryState.OWED, "", "waits for the images that it speaks of")


def _in_syntax(parcel: Parcel, accepted: set[str]) -> Dataset:
    # pynetdicom turns explicit into implicit where only that is accepted
    if parcel.transfer_syntax_uid not in accepted:
        return read_native(parcel.content)
    return dcmread(BytesIO(parcel.content))
