"""What the parts cost, measured beside their peers and their physical limits in one run."""
