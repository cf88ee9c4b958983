"""What runs on the chip, in C, with its tables: front end, LSTM, classifier, trigger."""
