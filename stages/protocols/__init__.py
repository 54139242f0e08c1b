"""Verification protocols: who is on which image, which pairs are compared, and in which folds.

Settings or the user's files become shards of n faces and a table of pairs (p,): rows a and b, same, fold. A rendered
protocol has 6,000 pairs in ten folds that share nobody, of people whom no other stage draws. A new one is an entry of
`PROTOCOLS` beside the others (images of each person, which make pairs, how their styles are set). It joins the mean
over the wild protocols, so every such mean changes. `embedded_templates` renders stills and videos of few people, which
join no mean; `embedded_groups` says who is of one group. A new format of the user's benchmarks is a reader in
`formats`, named in `READERS` of `external`. How they are scored is in `evaluators`.
tests/test_benchmarks.py draws every rendered protocol, and tests/protocols says what each controls.
"""
