"""Parts of `audit`: what two networks see on the generated images.

They take image shards and the rows that were asked for (m, d). The images become rows (b, d), read in parts, with whom
each shows (b,) and its number within that person (b,); each measure returns a branch of reports/audit.json, most
numbers with value, low and high. One network is the one that the images were made for; the other, the judge, had no
part in them. A third, the witness, may look at some of them. A new measure is a function here and a line in the `main`
of `stages.audit`; the report prints every branch that it finds, and known answers go to tests/test_audit.py. Images are
not changed here: `audit` writes a table of them which says what is kept, and `variants` takes those.
"""
