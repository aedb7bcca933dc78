"""Journeys: whole lives of orders through the public API, against worlds that are killed, doubled and restarted."""
