"""The pages that people read: rendered here, escaped, one stylesheet, nothing from elsewhere."""
