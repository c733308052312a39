"""What people look at: pages without network, their drawings, and tables in a terminal."""
