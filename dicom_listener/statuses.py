"""What a peer is answered: statuses of a C-STORE request, rejections of an association, and their clauses."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class StoreStatus:
    """A C-STORE response: Status (0000,0900), Error Comment (0000,0902; VR LO, up to 64 characters), its source."""

    code: int
    comment: str
    clause: str

    def __post_init__(self) -> None:
        if len(self.comment) > 64 or "\\" in self.comment:
            raise ValueError(f"comment {self.comment!r} is no LO value; expected up to 64 characters, no backslash.")

    def because(self, comment: str) -> StoreStatus:
        """Return the same status with another comment."""
        return replace(self, comment=comment)


SUCCESS = StoreStatus(code=0x0000, comment="", clause="PS3.4 B.2.3, PS3.7 C.1.1")
OUT_OF_RESOURCES = StoreStatus(
    code=0xA700, comment="The instance could not be written to disk", clause="PS3.4 table B.2-1"
)
DATASET_MISMATCH = StoreStatus(
    code=0xA900, comment="Command and data set disagree on SOP class or instance", clause="PS3.4 table B.2-1"
)
CANNOT_UNDERSTAND = StoreStatus(code=0xC000, comment="The data set cannot be parsed", clause="PS3.4 table B.2-1")
INVALID_INSTANCE_UID = StoreStatus(
    code=0x0117, comment="The SOP Instance UID is invalid", clause="PS3.7 C.5.6, PS3.5 9.1"
)
CLASS_NOT_SUPPORTED = StoreStatus(
    code=0x0122, comment="The SOP class was not negotiated in this context", clause="PS3.7 C.5.20"
)
NOT_AUTHORISED = StoreStatus(code=0x0124, comment="This association was not admitted", clause="PS3.7 C.5.18")
STATUSES = (
    SUCCESS,
    INVALID_INSTANCE_UID,
    CLASS_NOT_SUPPORTED,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    DATASET_MISMATCH,
    CANNOT_UNDERSTAND,
)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """An A-ASSOCIATE-RJ: Result, Source and Reason (PS3.8, table 9-21), and why in words for the log."""

    result: int
    source: int
    reason: int
    why: str


PROTOCOL_VERSION = Rejection(result=1, source=2, reason=2, why="The version of the upper-layer protocol is not 1.")
CALLED_AE_TITLE = Rejection(result=1, source=1, reason=7, why="The called AE title is not this node's.")
CALLING_AE_TITLE = Rejection(result=1, source=1, reason=3, why="The calling AE title is not on the list of the site.")
INVALID_AE_TITLE = Rejection(result=1, source=1, reason=3, why="The calling or the called AE title is not valid.")
ADDRESS = Rejection(result=1, source=1, reason=1, why="The address is not on the list of the site.")
STOPPING = Rejection(result=2, source=3, reason=1, why="The listener is stopping.")
TOO_MANY = Rejection(result=2, source=3, reason=2, why="There are as many associations as the site allows already.")
REJECTIONS = (PROTOCOL_VERSION, INVALID_AE_TITLE, CALLED_AE_TITLE, CALLING_AE_TITLE, ADDRESS, STOPPING, TOO_MANY)
