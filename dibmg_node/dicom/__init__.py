"""DICOM in and out of the domain: data sets stop on this floor. Pure: no file, no socket, no clock."""
