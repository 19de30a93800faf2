"""What ties the processes of one run, and the jobs of one cluster, together."""
