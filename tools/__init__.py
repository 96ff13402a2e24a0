"""What developers run beside the products: the demo, the bench, what writes generated pages."""
