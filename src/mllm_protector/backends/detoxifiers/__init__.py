"""Detoxifiers: what writes a safe response in place of a harmful one."""
