"""The physics of Holmia as pure functions on arrays: no Qt, no DICOM, no network, no files, no clock."""
