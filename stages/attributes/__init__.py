"""AttrOP (Vec2Face, section 3.3): conditions are moved until what is drawn of them has the attributes asked for."""
