"""Run folders that presets name: three teachers, and an LSTM that has heard other words."""
