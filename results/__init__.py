"""Recorded runs become tables, figures and a report; nothing here trains, and nothing here imports torch."""
