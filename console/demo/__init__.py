"""A treatment with known truth as DICOM, and a scanner that sends it."""
