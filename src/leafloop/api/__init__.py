"""The HTTP API: one router a noun, and limits, headers and a log line around them. Decides nothing about photos."""
