"""Statistics of recognition: arrays in, numbers and intervals out.

Verification takes the scores (p,) of pairs, which of them are genuine (p,) and their folds (p,). `influence` says what
each pair contributes to a metric, `replicates` turns that into deviations (r, m) whose draws depend on people and seed,
never on the variant, `bootstrap` adds the seeds and makes intervals and paired differences, `verdicts` corrects for
their number; `grouped` does the same within groups of pairs. For metrics without influences `people` draws who counts
how often: `comparisons` (1:1) and `identification` (1:N) of templates weigh what decides, `insightface` computes LFW's
accuracy as that code does. What the audit uses takes embedded images (`faces.Faces`, whose rows (b, d) are read in
parts) or values of images (b, ...), and whom they show (b,). A new verification metric is a function of plain pairs
with their influence, and its name in `bootstrap`; the report gives each metric a table of its own. `scoring` alone sees
images: it takes recognisers and shards and returns their rows (n, d). An edit scores every variant again and trains
nothing.
"""
