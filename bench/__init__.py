"""What syncd costs, side by side with what the same work costs at least: `make bench`. See docs/performance.md."""
