"""From features to batches: labels, records, augmentation, tf.data pipeline."""
