"""Damaged, hostile and odd files for every reader, made from sound ones with their structure."""
