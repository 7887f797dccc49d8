"""The forms in which records are stored: one struct a kind and version, of text, numbers and lists only.

Rules: a form never changes once released, not even by a field: a change is a new struct with the next number, and the
old one stays and still makes today's record; a form within another has its name as a tag, which is stored: it is
written out, and outlives the class's name; what identifies a record is in its key, and is not repeated in the form.
Released is what was on the main branch, from where people run it (docs/adr/0035).
"""
