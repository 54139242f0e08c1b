"""AttrOP (Vec2Face, section 3.3): conditions are moved until what is drawn of them has the attributes asked for.

It takes conditions (b, c), the unit rows (b, d) that they stand for, and seeds (b,), and returns conditions of the same
shape with a table of what each row reached, failures too. The generator must be a `Differentiable`, and recognisers
must have `features`; `stages.validate` names those that do. A critic looks at faces (b, 3, h, w) in [0, 1] with three
networks: that of section `embed`, one for quality, one for the pose. Rows do not depend on each other, and each ends by
itself. A new attribute is something that the critic sees, a term of its loss, a condition for passing, a column of the
record, and a field of `Attributes` in stages/settings/generate.py; `audit` reads the record. Tests: tests/attributes.
"""
