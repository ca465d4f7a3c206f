"""Vehicles: MQTT, codecs, filters, the live table, tracks, fences, roads and ETAs."""
