"""Pictures for classifiers: sets, splits, order, augmentation, loaders."""
