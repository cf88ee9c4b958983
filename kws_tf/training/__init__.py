"""Training runs: settings, run folder, fit."""
