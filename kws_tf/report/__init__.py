"""A run as one HTML page that needs no network: curves, clips, histograms, errors, the proof."""
