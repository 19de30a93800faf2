"""What a classifier's predictions are worth: errors, calibration, ranking by confidence; pictures of them."""
