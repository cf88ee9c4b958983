"""Run folders that presets name: three teachers, and an LSTM pretrained on other words."""
