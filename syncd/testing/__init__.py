"""Shipped for adapter authors and for trying things out: the adapter contract suite, a sandbox, a scripted helpdesk."""
