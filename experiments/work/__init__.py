"""From experiments to recorded results: in this process, or in several."""
