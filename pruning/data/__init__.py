"""Texts, tables and questions, and the examples made from them."""
