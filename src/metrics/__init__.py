"""What a classifier's predictions are worth: errors, calibration, ranking by confidence; figures and tables of them."""
