"""What an image costs: measured times and the facts of the machine they were measured on."""
