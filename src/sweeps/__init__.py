"""Many runs: started side by side, continued, searched, and compared."""
