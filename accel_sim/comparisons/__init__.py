"""Masks beside masks, machines beside machines, reports beside reports."""
