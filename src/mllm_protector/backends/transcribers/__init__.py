"""What writes down recordings; reached by name through the registry."""
