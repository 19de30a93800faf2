"""What check.py asks of devices, memory and prompts. Pure Python: nothing heavy is imported."""
