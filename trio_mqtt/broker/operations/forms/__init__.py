"""What operations are asked with, and what they answer: frozen values, of plain types.

Times are seconds since 1970, sizes bytes. These files have no annotations that wait to be
evaluated, as whoever makes JSON of them, or a schema, looks at their types.
"""
