"""How a run is computed: one loop over a program. Nothing here knows a file."""
