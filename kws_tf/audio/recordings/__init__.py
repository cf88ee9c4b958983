"""People's own recordings: import, cutting, speakers, microphone."""
