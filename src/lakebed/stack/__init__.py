"""Starting, sharing and stopping a stack of services."""
