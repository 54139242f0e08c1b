"""Statistics of recognition: arrays in, numbers and intervals out.

Verification takes the scores (p,) of pairs, which of them are genuine (p,) and their folds (p,). The bootstrap takes
scores (s, p), a row for each training seed, with both people of each pair, and returns every metric per seed and per
replicate; its draws depend on people and seed, never on the variant, so that differences are paired. What the audit
uses takes embedded images (`faces.Faces`, whose rows (b, d) are read in parts) or values of images (b, ...), and whom
they show (b,). A new verification metric is a function of plain pairs, its weighted twin in the bootstrap, and its name
there; tests/metrics holds the two equal, and the report gives each metric a table of its own. `insightface` has LFW's
accuracy as that code computes it, `separability` what needs no threshold. Templates are too many to weigh pair by pair:
`people` draws who counts how often, `comparisons` (1:1) and `identification` (1:N) weigh what decides. `scoring` alone
sees images: it takes recognisers and shards and returns their rows (n, d). An edit scores every variant again and
trains nothing.
"""
