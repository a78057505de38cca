"""What is found, as DICOM objects that other systems read."""
