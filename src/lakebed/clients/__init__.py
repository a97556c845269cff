"""Clients of the servers and the models of their answers."""
