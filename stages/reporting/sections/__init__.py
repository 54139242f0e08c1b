"""Sections of the report, one subject a file: functions from `Inputs` to blocks. Their sentences are in prose.md."""
