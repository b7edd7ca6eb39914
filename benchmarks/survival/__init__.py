"""What the platform of one machine survives: its processes are killed and its clients vanish, and it is looked at."""
