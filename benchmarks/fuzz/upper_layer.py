"""What a sound peer says on a connection, as the bytes of its PDUs: to begin from when the network side is fuzzed."""

from __future__ import annotations

from io import BytesIO

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    A_RELEASE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from benchmarks.fuzz.seeds import seeds
from dicom_listener.instance_header import read_header

_VERIFICATION = "1.2.840.10008.1.1"


def conversations() -> dict[str, bytes]:
    """Return an echo, a store, a store in small fragments, and a request alone."""
    release = _pdu(A_RELEASE_RQ(), A_RELEASE())
    return {
        "request": associate(),
        "echo": associate() + _message(_echo(), 1, 4096) + release,
        "store": associate() + _message(_store(), 3, 4096) + release,
        "store in fragments": associate() + _message(_store(), 3, 64) + release,
    }


def associate() -> bytes:
    """Return an A-ASSOCIATE-RQ for verification (context 1) and MR images (context 3)."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "FUZZ", "HOLMIA"
    contexts = [build_context(uid, ExplicitVRLittleEndian) for uid in (_VERIFICATION, MRImageStorage)]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = contexts
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16384
    implementation.implementation_class_uid = "1.2.3.4"
    request.user_information = [longest, implementation]
    return _pdu(A_ASSOCIATE_RQ(), request)


def _echo() -> C_ECHO_RQ:
    asked = C_ECHO()
    asked.MessageID, asked.AffectedSOPClassUID = 1, _VERIFICATION
    message = C_ECHO_RQ()
    message.primitive_to_message(asked)
    return message


def _store() -> C_STORE_RQ:
    data = seeds()["siemens_classic"]
    header = read_header(data)
    asked = C_STORE()
    asked.MessageID, asked.AffectedSOPClassUID, asked.Priority = 1, MRImageStorage, 2
    asked.AffectedSOPInstanceUID = header.sop_instance_uid
    asked.DataSet = BytesIO(data[header.dataset_offset :])
    message = C_STORE_RQ()
    message.primitive_to_message(asked)
    return message


def _message(message: C_ECHO_RQ | C_STORE_RQ, context: int, longest: int) -> bytes:
    return b"".join(_pdu(P_DATA_TF(), fragment) for fragment in message.encode_msg(context, longest))


def _pdu(pdu: A_ASSOCIATE_RQ | A_RELEASE_RQ | P_DATA_TF, primitive: object) -> bytes:
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded
