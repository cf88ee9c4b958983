"""From files to samples: decoding, data set layout, download, synthesis."""
