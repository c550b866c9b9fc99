"""DICOMweb: STOW-RS beside the storage SCP, QIDO-RS and WADO-RS of the node's results, health."""
