"""What Holmia writes for other programs: results.json, results.csv, maps as NIfTI."""
