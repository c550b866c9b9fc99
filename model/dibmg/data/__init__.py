"""Data sets of mammograms: manifests, images, the published layouts, inclusion and splits."""
