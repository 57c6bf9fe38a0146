"""What comes out: results, steady states, scans, their diagnostics, datasets and files."""
