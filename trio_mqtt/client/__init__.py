"""The client: one code on AnyIO for Trio and asyncio."""
