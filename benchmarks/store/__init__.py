"""What the store withstands and how fast it is: kills and freezes, long lists, many records."""
