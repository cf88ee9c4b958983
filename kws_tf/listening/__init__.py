"""A model left listening: streams, what was heard in them, false alarms an hour, words found."""
