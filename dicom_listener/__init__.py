"""What arrives over DICOM: the treatment file, the listener, decoding, assembly."""
