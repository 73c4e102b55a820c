"""Renderings of a statement: plain text, CSV, HTML and PDF, in English and Chinese."""
