"""From the command line to a run that is known to be possible: composed, checked, planned. No torch."""
