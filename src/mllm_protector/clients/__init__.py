"""Clients that guard in their own process what they are answered."""
