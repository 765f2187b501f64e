"""Training of both stages, calibration, and the judges that look at what came out."""
