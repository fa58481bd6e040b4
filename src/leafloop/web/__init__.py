"""The pages for people: server-rendered HTML with a little plain JavaScript. Knows HTTP and words, not pixels or tables."""
