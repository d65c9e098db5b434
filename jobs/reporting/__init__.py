"""What a report shows: gathered once, written as a page, a paper and a table."""
