"""The node: DICOM in, DIB-MG, results back to the PACS. For research use only."""
