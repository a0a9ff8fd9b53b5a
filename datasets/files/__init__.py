"""Files: fetched, unpacked, locked, read, and prepared once. Knows no domain."""
